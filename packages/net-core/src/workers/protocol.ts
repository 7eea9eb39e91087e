// The protocol between a core and its worker threads: posted packets for frequent requests, messages for the rest.

import type { PortToken } from '@overlapped/iocp-native';
import type { CarriedError } from '@overlapped/iocp-native/internal';
import type { Core } from '../core.js';
import type { IocpCoreOptions } from '../iocp-core.js';

/** The data that a thread is started with. */
export interface WorkerStart {
  readonly index: number;
  readonly options: IocpCoreOptions;
  readonly ledger: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
  readonly messages: SharedMessagesToken;
  /** Of a LoadGuard. */
  readonly guard: SharedArrayBuffer;
}

/** The shared messages of a server, as they cross to another thread. */
export interface SharedMessagesToken {
  readonly control: SharedArrayBuffer;
  readonly address: number;
}

/** How to post to the other threads: each one's thread index, and its port. */
export type Peers = readonly (readonly [threadIndex: number, token: PortToken])[];

/** To a worker. Each is answered with the same `id`. */
export type Request =
  | {
      readonly id: number;
      readonly ask: 'host';
      readonly service: number;
      readonly module: string;
      readonly data: unknown;
      readonly first: unknown;
      readonly ended: Int32Array;
    }
  | { readonly id: number; readonly ask: 'meet'; readonly peers: Peers }
  | { readonly id: number; readonly ask: 'update'; readonly service: number; readonly data: unknown }
  | { readonly id: number; readonly ask: 'endService'; readonly service: number; readonly grace: number }
  | { readonly id: number; readonly ask: 'stop'; readonly grace: number };

/** From a worker: once its core is there, and then answers. */
export type Report =
  | { readonly ready: PortToken }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: CarriedError };

/** The service that runs in each worker: a module with a function `start`. */
export interface WorkerModule {
  /**
   * `first` is the value of the first thread's start, undefined in that one. In `ended[0]`, which is shared memory, it counts
   * the sockets that were handed to it and are over.
   */
  start(core: Core, data: unknown, first: unknown, ended: Int32Array): Promise<Service>;
}

/** The result of `start`. */
export interface Service {
  /** Sent to the thread that asked for the service; it must be cloneable. */
  readonly value?: unknown;
  /** A socket has been handed to this service, which owns it from now on. */
  onSocket(handle: number): void;
  /** A packet that was posted to this thread, not to one service. */
  onPost?(key: number, bytes: number): void;
  /** The data of its start has been replaced. Throws if it cannot use the new data; then it goes on with the former. */
  update?(data: unknown): void | Promise<void>;
  /** Ends in order within `grace` milliseconds. */
  stop(grace: number): Promise<void>;
}

/** Keys of posted packets: below this they name the service that a socket is for, above it is the user's own key. */
export const USER_KEYS = 0x80000000;
/** This one is neither: the ticket of a shared message. */
export const MESSAGE_KEY = 0xffffffff;
