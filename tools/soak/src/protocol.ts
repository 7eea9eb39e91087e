// What the processes of a soak say to each other.

import type { Candidate, Timeouts } from '@overlapped/session';

export interface ServerOptions {
  readonly backend?: string;
  readonly dedicated?: boolean;
  /** The sessions of the echo are shared: threads wait on one port for all of them. */
  readonly shared?: boolean;
  /** Of the echo. Default: a free one. */
  readonly port?: number;
  readonly backlog?: number;
  readonly timeouts?: Timeouts;
  /** What the kernel takes for a peer that does not read. Default: the system's own. */
  readonly sendBufferSize?: number;
  /** A bug that a soak must find: memory that is kept for ever, a byte that is changed, or the end in the middle of it all. */
  readonly plant?: 'leak' | 'byte' | 'death';
}

export interface Ports {
  readonly echo: number;
  readonly frames: number;
  readonly crowd: number;
}

/** What is in use in the server: bytes, milliseconds or counts. */
export interface Sample {
  readonly rss: number;
  readonly heap: number;
  readonly external: number;
  readonly descriptors: number;
  readonly sessions: number;
  readonly events: number;
  readonly receiveBuffers: number;
  readonly sendBuffers: number;
  readonly bytesQueued: number;
  readonly timers: number;
  /** How late the event loop was since the last sample: the 99th percentile, and the most. */
  readonly delayP99: number;
  readonly delayMax: number;
  readonly accepted: number;
  readonly bytesReceived: number;
  readonly timedOut: number;
  /** How often the server got SIGUSR2. */
  readonly signals: number;
}

export interface Greeting {
  readonly backend: string;
  readonly candidates: readonly Candidate[];
  readonly ports: Ports;
}

export type FromServer = Greeting | { readonly sample: Sample };
export type ToServer = 'sample' | 'stop';

export interface ClientOptions {
  readonly ports: Ports;
  readonly seed: number;
  /** How many connections it has at a time. */
  readonly peers: number;
}

/** What a client has done: connections, by what they did, and bytes that came back as they went. */
export interface Tally {
  readonly done: Record<string, number>;
  readonly bytes: number;
}

export type FromClient = { readonly failure: string } | { readonly tally: Tally };
