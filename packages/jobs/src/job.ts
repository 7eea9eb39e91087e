// A job, from run() until its promise is settled.

import type { TransferList } from './transfer-list.js';

/** The content of a message when shared memory has no room for the arguments: clones, made when run() was called. */
export interface LargeArguments {
  readonly values: readonly unknown[];
  readonly transfer: TransferList;
}

export class Job {
  readonly name: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  readonly signal: AbortSignal | undefined;
  /** Null when the slot has the arguments. */
  large: LargeArguments | null = null;
  /** While it waits for a slot: the bytes that will be written there. */
  bytes: Uint8Array | null = null;
  /** Its neighbours in the queue of those that wait for a slot. */
  before: Job | null = null;
  after: Job | null = null;
  waits = false;
  slot = -1;
  ticket = 0;
  settled = false;

  constructor(
    name: string,
    resolve: (value: unknown) => void,
    reject: (reason: unknown) => void,
    signal: AbortSignal | undefined,
  ) {
    this.name = name;
    this.resolve = resolve;
    this.reject = reject;
    this.signal = signal;
  }
}
