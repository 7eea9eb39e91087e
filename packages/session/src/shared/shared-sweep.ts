// SharedSweep: the timeouts, and the linger, of a listener's shared sessions, and the time for a PROXY header. The core's own thread looks
// at their records now and then. The threads that take packets do no work for it.

import { Timer } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { HEADER_TIMEOUT } from '../accept/proxy-handshake.js';
import { kBytesArrived, kPartialFrame, kReceives } from '../session/symbols.js';
import { IdleState, TimeoutRules, type Watched } from '../session/timeout-rules.js';
import { Stat } from '../stats.js';
import { partialFrame } from './frame-cutter.js';
import type { SharedHost } from './host.js';
import type { SharedLimits } from './shared-threads.js';
import { Field, Flag, Reason, ServiceField, type SharedTable } from './table.js';

/** Records that are looked at in one turn of the event loop. */
const MAX_PER_TURN = 8192;
const REASONS = { read: Reason.Read, firstByte: Reason.FirstByte, frame: Reason.Frame, write: Reason.Write } as const;
const { timedOut: TIMED_OUT } = Stat;

/** A session's record, as the rules see it. */
class Watch implements Watched {
  readonly id: number;
  /** When the session was first seen to end; Infinity before. */
  endingSince = Number.POSITIVE_INFINITY;
  /** When its connection was first seen without a PROXY header; Infinity before. */
  headerSince = Number.POSITIVE_INFINITY;
  readonly #table: SharedTable;
  readonly #at: number;

  constructor(table: SharedTable, slot: number, id: number) {
    this.id = id;
    this.#table = table;
    this.#at = table.at(slot);
  }

  /** A session whose handler runs receives nothing. */
  get [kReceives](): boolean {
    const { words } = this.#table;
    const flags = words[this.#at + Field.Flags]!;
    const stopped = (flags & (Flag.PeerEnded | Flag.Closing | Flag.Throttled)) !== 0;
    return !stopped && Atomics.load(words, this.#at + Field.Turn) === 0;
  }

  get [kBytesArrived](): number {
    return this.#table.words[this.#at + Field.Received]!;
  }

  get [kPartialFrame](): number {
    return partialFrame(this.#table.frames, this.#table.words, this.#at + Field.Frame);
  }

  get bytesQueued(): number {
    return this.#table.queues.lengthOf(this.#at + Field.Sends);
  }

  get bytesSent(): number {
    return this.#table.words[this.#at + Field.Sent]!;
  }
}

export class SharedSweep {
  readonly #core: Core;
  readonly #host: SharedHost;
  readonly #service: number;
  readonly #rules: TimeoutRules;
  readonly #linger: number;
  readonly #header: number;
  readonly #interval: number;
  readonly #states: IdleState<Watch>[] = [];
  readonly #timer = new Timer(() => this.#sweep());
  /** The next record of a sweep that takes more than one turn of the event loop. */
  #slot = 0;
  /** When the last sweep was, and the counted time until then: it is less than real time if sweeps were late. */
  #last: number;
  #time = 0;

  constructor(core: Core, host: SharedHost, service: number, { timeouts, linger, accepts }: SharedLimits) {
    this.#core = core;
    this.#host = host;
    this.#service = service;
    this.#rules = new TimeoutRules(timeouts);
    this.#linger = linger;
    this.#header = accepts.proxy ? (accepts.proxy.timeout ?? HEADER_TIMEOUT) : Number.POSITIVE_INFINITY;
    this.#interval = Math.min(this.#rules.interval, linger / 8, this.#header / 8);
    this.#last = core.timers.now;
    core.timers.set(this.#timer, this.#interval);
  }

  stop(): void {
    this.#core.timers.clear(this.#timer);
  }

  #sweep(): void {
    const { now } = this.#core.timers;
    const { used } = this.#host.table;
    // While this thread was blocked, the others may have been, too.
    this.#time += Math.min(now - this.#last, 2 * this.#interval);
    this.#last = now;
    const end = Math.min(this.#slot + MAX_PER_TURN, used);
    for (; this.#slot < end; this.#slot++) this.#look(this.#slot);
    const done = this.#slot >= used;
    if (done) this.#slot = 0;
    this.#core.timers.set(this.#timer, done ? this.#interval : 1);
  }

  #look(slot: number): void {
    const { table } = this.#host;
    const { words } = table;
    const at = table.at(slot);
    const flags = words[at + Field.Flags]!;
    const open = (flags & (Flag.Open | Flag.Header)) !== 0 && (flags & Flag.Closing) === 0;
    if (!open || words[at + Field.Service] !== this.#service) return;
    const id = table.idOf(slot);
    let state = this.#states[slot];
    if (state?.session.id !== id) {
      state = new IdleState(new Watch(table, slot, id));
      this.#states[slot] = state;
    }
    const { session } = state;
    if ((flags & Flag.Header) !== 0) {
      session.headerSince = Math.min(session.headerSince, this.#time);
      if (this.#time - session.headerSince >= this.#header) this.#host.close(slot, id, Reason.Destroyed);
      return;
    }
    const halfOpen = words[table.serviceAt(this.#service) + ServiceField.HalfOpen] === 1;
    const ends = halfOpen ? Flag.Ending | Flag.Finishing : Flag.Ending | Flag.PeerEnded;
    const which = this.#rules.expired(state, this.#time);
    if (which !== null) {
      this.#core.statsBlock.values[TIMED_OUT]!++;
      this.#host.close(slot, id, REASONS[which]);
    } else if ((flags & ends) !== 0) {
      session.endingSince = Math.min(session.endingSince, this.#time);
      if (this.#time - session.endingSince >= this.#linger) this.#host.close(slot, id, Reason.Lingered);
    }
  }
}
