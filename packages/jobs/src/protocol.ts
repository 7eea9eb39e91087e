// The messages between a pool and its threads: values that shared memory has no room for, and wake-ups of the owner.

import type { MessagePort } from 'node:worker_threads';
import type { SharedPortToken } from '@overlapped/iocp-native/internal';
import type { Form } from './job-table.js';

/** The data that a thread is started with. */
export interface ThreadStart {
  /** The URL of the module whose functions are the jobs. */
  readonly module: string;
  readonly token: SharedPortToken;
  readonly table: SharedArrayBuffer;
  /** Its place in the pool. */
  readonly index: number;
  readonly port: MessagePort;
}

/** There are finished jobs. A number is the cheapest message. */
export const FINISHED = 0;

/** From a thread to the owner. */
export type Report =
  | typeof FINISHED
  | { readonly kind: 'ask'; readonly slot: number }
  | { readonly kind: 'end'; readonly slot: number; readonly form: Form; readonly value: unknown };

/** From the owner to a thread. */
export type Order =
  /** The answer to `ask`. Null when the job has been aborted meanwhile. */
  | { readonly kind: 'arguments'; readonly values: readonly unknown[] | null }
  | { readonly kind: 'abort'; readonly slot: number; readonly ticket: number };
