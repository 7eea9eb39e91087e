// The protocol between the owner of a shared port's threads and the threads.

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
  /** The clients behind proxies: ClientAddresses. Null without `proxy`. */
  readonly clients: SharedArrayBuffer | null;
  /** The memory of its sessions' states; null until a thread has said how large that is. It is there before any packet of the service. */
  readonly states: SharedArrayBuffer | null;
}

/** Descriptors of a thread that lie in no record, for the core's thread when that thread has ended. */
export const Held = {
  /** The descriptor of a connection that no record has yet; -1 for none. */
  Accepted: 0,
  /** The descriptor that it closes just now; -1 for none. */
  Closing: 1,
  /** Tells whether that descriptor is closed already: SharedSockets.mark(). */
  Mark: 2,
  /** The operating system's number of the thread; 0 while that is not known. */
  Thread: 3,
} as const;
export const HELD_WORDS = 4;

/** The data that a thread is started with. */
export interface SharedStart {
  readonly token: SocketPortToken;
  readonly table: TableToken;
  /** The thread's index among those that use the table. */
  readonly index: number;
  readonly services: readonly HostedService[];
  readonly port: MessagePort;
  /** Of a ledger, and of a LoadGuard. */
  readonly ledger: SharedArrayBuffer;
  readonly guard: SharedArrayBuffer;
  /** Words of Held. */
  readonly held: Int32Array;
  /** Of a StatsBlock, which a thread goes on to use that takes the place of one that ended. */
  readonly stats: SharedArrayBuffer;
}

/**
 * From a thread: it has loaded the modules that it was started with, or that of one service; or it cannot. `stateSize`: what a
 * session of the last of them keeps, in bytes.
 */
export type SharedReport =
  | { readonly stateSize: number; readonly service?: number }
  | { readonly error: CarriedError; readonly service?: number };
