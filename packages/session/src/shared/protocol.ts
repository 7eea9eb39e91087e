// What the owner of a shared port's threads and the threads say to each other.

import type { MessagePort } from 'node:worker_threads';
import type { SocketOptions } from '@overlapped/iocp-native';
import type { CarriedError, SocketPortToken } from '@overlapped/iocp-native/internal';
import type { AcceptLimits } from '../accept/accept-filter.js';
import type { Timeouts } from '../session/timeout-rules.js';
import type { TableToken } from './table.js';

/** A listener's sessions, for a thread that is to serve them. */
export interface HostedService {
  readonly index: number;
  /** Which of the listeners that have had the index. */
  readonly serial: number;
  /** The URL of the user's module. */
  readonly module: string;
  /** Of its connections. */
  readonly options: SocketOptions;
  /** Of its sessions. */
  readonly timeouts: Timeouts;
  /** Which connections it accepts, and the state of the rate limit. */
  readonly accepts: AcceptLimits;
  readonly tokens: SharedArrayBuffer | null;
  /** What its sessions keep; null until a thread has said how large that is. It is there before any packet of the service. */
  readonly states: SharedArrayBuffer | null;
}

/** What a thread is started with. */
export interface SharedStart {
  readonly token: SocketPortToken;
  readonly table: TableToken;
  readonly services: readonly HostedService[];
  readonly port: MessagePort;
  /** Of a ledger, and of a LoadGuard. */
  readonly ledger: SharedArrayBuffer;
  readonly guard: SharedArrayBuffer;
  /** Where it stores the descriptor of a connection that no record has yet; -1 for none. */
  readonly accepted: Int32Array;
}

/**
 * From a thread: it has loaded the modules that it was started with, or that of one service; or it cannot. `stateSize`: what a
 * session of the last of them keeps, in bytes.
 */
export type SharedReport =
  | { readonly stateSize: number; readonly service?: number }
  | { readonly error: CarriedError; readonly service?: number };
