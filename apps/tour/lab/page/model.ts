// The model of the port: the queue, the threads, and the last work of each thread. It follows from the happenings.

import type { Happening, Kind } from '../messages.js';

export type State = 'waiting' | 'running' | 'blocked';

/** A packet that no thread has taken. */
export interface Packet {
  readonly request: number;
  readonly blocking: boolean;
  readonly at: number;
}

/** Some time in which a thread worked on a packet. */
export interface Span {
  readonly request: number;
  readonly state: 'running' | 'blocked';
  readonly start: number;
  /** Infinity while it lasts. */
  end: number;
}

export interface Thread {
  state: State;
  /** The last change of its state. */
  since: number;
  /** The packet that it works on. */
  packet: Packet | undefined;
  /** Packets that it has finished. */
  served: number;
  readonly spans: Span[];
}

/** Milliseconds of spans that are kept. */
const KEPT = 20_000;
/** The averages are of the last packets, so many. */
const LAST = 20;

export class Model {
  readonly threads: readonly Thread[];
  readonly queue: Packet[] = [];
  /** Milliseconds in the queue, and in the handler, of the last packets. */
  readonly #queued: number[] = [];
  readonly #handled: number[] = [];

  constructor(threads: number) {
    const thread = (): Thread => ({ state: 'waiting', since: 0, packet: undefined, served: 0, spans: [] });
    this.threads = Array.from({ length: threads }, thread);
  }

  apply([at, kind, number, request, blocking]: Happening): void {
    if (kind === 'sent') {
      this.queue.push({ request, blocking: blocking === 1, at });
      return;
    }
    const thread = this.threads[number];
    if (thread === undefined) return;
    thread.since = at;
    const span = thread.spans.at(-1);
    if (span !== undefined) span.end = Math.min(span.end, at);
    if (kind === 'ready') return;
    if (kind === 'done') this.#done(thread, at);
    else this.#works(thread, kind, request, at);
  }

  count(state: State): number {
    return this.threads.filter((thread) => thread.state === state).length;
  }

  /** The waiting thread that takes the next packet: the one that began to wait last. */
  get next(): Thread | undefined {
    const waiting = this.threads.filter(({ state }) => state === 'waiting');
    return waiting.reduce<Thread | undefined>(
      (last, thread) => (last === undefined || thread.since > last.since ? thread : last),
      undefined,
    );
  }

  /** Milliseconds that the last packets were queued, on average; undefined when there were none. */
  get queueTime(): number | undefined {
    return average(this.#queued);
  }

  /** Milliseconds that their handlers took. */
  get handlerTime(): number | undefined {
    return average(this.#handled);
  }

  #works(thread: Thread, kind: Kind, request: number, at: number): void {
    const state = kind === 'blocked' ? 'blocked' : 'running';
    if (kind === 'started') {
      const place = this.queue.findIndex((packet) => packet.request === request);
      thread.packet = place < 0 ? { request, blocking: false, at } : this.queue.splice(place, 1)[0]!;
      remember(this.#queued, at - thread.packet.at);
    }
    thread.state = state;
    thread.spans.push({ request, state, start: at, end: Number.POSITIVE_INFINITY });
    while (thread.spans[0]!.end < at - KEPT) thread.spans.shift();
  }

  #done(thread: Thread, at: number): void {
    const first = thread.spans.find(({ request }) => request === thread.packet?.request);
    if (first !== undefined) remember(this.#handled, at - first.start);
    thread.state = 'waiting';
    thread.packet = undefined;
    thread.served++;
  }
}

function remember(values: number[], value: number): void {
  values.push(value);
  if (values.length > LAST) values.shift();
}

function average(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value) / values.length;
}
