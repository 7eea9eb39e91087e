// Messages to the page of the lab. Types only, which the server and the page share.

import type { Settings } from './settings.js';

/**
 * Kinds of happenings. `ready`: a thread of the port has loaded the handlers. `sent`: a client has sent a request, and its packet is
 * queued. `started`: a thread has taken the packet, and runs its handler. `blocked`: the handler blocks its thread. `resumed`: the
 * thread runs again. `done`: the handler returns, and its thread takes the next packet, or waits.
 */
export type Kind = 'ready' | 'sent' | 'started' | 'blocked' | 'resumed' | 'done';

/** An entry of the log, in the order of Entry's fields. Threads are numbered from 0; -1 is a client. */
export type Happening = readonly [at: number, kind: Kind, thread: number, request: number, blocking: number];

/** A page has come, or the port has been opened anew. */
export interface Greeting {
  readonly backend: string;
  readonly cores: number;
  /** Threads that wait on the port. */
  readonly threads: number;
  readonly settings: Settings;
}

/** The happenings since the last message; after a greeting, those since the port was opened. */
export interface News {
  /** Now, by the clock of the happenings, in milliseconds. */
  readonly now: number;
  readonly happenings: readonly Happening[];
}
