// SharedSweep: the timeouts, and the linger, of a listener's shared sessions. The core's own thread looks at their records now and
// then. The threads that take packets do no work for it.

import { Timer } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { kBytesArrived, kPartialFrame, kReceives } from '../session/symbols.js';
import { IdleState, TimeoutRules, type Timeouts, type Watched } from '../session/timeout-rules.js';
import { Stat } from '../stats.js';
import { partialFrame } from './frame-cutter.js';
import type { SharedHost } from './host.js';
import { Field, Flag, Reason, type SharedTable } from './table.js';

/** Records that are looked at in one turn of the event loop. */
const MAX_PER_TURN = 8192;
const REASONS = { read: Reason.Read, firstByte: Reason.FirstByte, frame: Reason.Frame, write: Reason.Write } as const;
const { timedOut: TIMED_OUT } = Stat;

/** A session's record, as the rules see it. */
class Watch implements Watched {
  readonly id: number;
  /** When the session was first seen to end; Infinity before. */
  endingSince = Number.POSITIVE_INFINITY;
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
    return (flags & (Flag.PeerEnded | Flag.Closing)) === 0 && Atomics.load(words, this.#at + Field.Turn) === 0;
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
  readonly #interval: number;
  readonly #states: IdleState<Watch>[] = [];
  readonly #timer = new Timer(() => this.#sweep());
  /** The next record of a sweep that takes more than one turn of the event loop. */
  #slot = 0;
  /** When the last sweep was, and the counted time until then: it is less than real time if sweeps were late. */
  #last: number;
  #time = 0;

  /** @param linger milliseconds; Infinity for none */
  constructor(core: Core, host: SharedHost, service: number, timeouts: Timeouts, linger: number) {
    this.#core = core;
    this.#host = host;
    this.#service = service;
    this.#rules = new TimeoutRules(timeouts);
    this.#linger = linger;
    this.#interval = Math.min(this.#rules.interval, linger / 8);
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
    if ((flags & (Flag.Open | Flag.Closing)) !== Flag.Open || words[at + Field.Service] !== this.#service) return;
    const id = table.idOf(slot);
    let state = this.#states[slot];
    if (state?.session.id !== id) {
      state = new IdleState(new Watch(table, slot, id));
      this.#states[slot] = state;
    }
    const which = this.#rules.expired(state, this.#time);
    const { session } = state;
    if (which !== null) {
      this.#core.statsBlock.values[TIMED_OUT]!++;
      this.#host.close(slot, id, REASONS[which]);
    } else if ((flags & (Flag.Ending | Flag.PeerEnded)) !== 0) {
      session.endingSince = Math.min(session.endingSince, this.#time);
      if (this.#time - session.endingSince >= this.#linger) this.#host.close(slot, id, Reason.Lingered);
    }
  }
}
