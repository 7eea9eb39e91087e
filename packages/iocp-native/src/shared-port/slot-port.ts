// The common part of the shared ports that keep their slots in memory: how a thread joins, lines up for a slot, gives it up
// while it blocks, and how the thread that watches finds slots whose holders are blocked.
//
// Linux does not tell a thread that waits for a slot that the holder is blocked. So while all slots are taken and packets may be
// there, the thread that is next in line watches: now and then it looks at the holders' states, and takes the slots of those
// that are blocked. A holder that runs again is counted again; until some thread comes back to wait(), more than `concurrency`
// threads run, as on Windows. When a thread waits for packets no thread watches, and an idle port uses no CPU.

import { closeSync } from 'node:fs';
import { IocpError } from '../contract/errors.js';
import { Field, PortMemory, State } from './memory.js';
import { openThreadState, Sleep, sleepOf, type ThreadState } from './thread-state.js';

/**
 * Milliseconds between two looks of the thread that watches. It takes two to find that a thread is blocked. While it finds
 * no thread asleep it looks more and more seldom.
 */
const WATCH = 0.25;
const LONGEST_WATCH = 1;

export abstract class SlotPort {
  /** How often this thread has slept in wait(). */
  wakeUps = 0;
  protected readonly memory: PortMemory;
  /** This thread's record, from its first wait() on. */
  protected record = -1;
  #state: ThreadState | null = null;

  constructor(memory: SharedArrayBuffer) {
    this.memory = new PortMemory(memory);
  }

  /** Times that this thread lost its slot since it was blocked. */
  get losses(): number {
    return this.record < 0 ? 0 : this.memory.words[this.record + Field.Losses]!;
  }

  get closed(): boolean {
    return this.memory.closed;
  }

  blocking<T>(fn: () => T): T {
    if (!this.#leave()) return fn();
    try {
      return fn();
    } finally {
      const { memory } = this;
      if (memory.lock(true)) {
        // One more than the limit may run now, until the next of them comes back to wait().
        memory.move(this.record, State.Running);
        memory.unlock();
      }
    }
  }

  leave(): void {
    this.#leave();
  }

  close(): void {
    this.memory.close();
    this.ended();
  }

  recover(threadId: number): void {
    this.memory.recover(threadId);
  }

  /** Looks where this thread's state can be read, which takes some milliseconds: before its first wait(), or in it. */
  prepare(): void {
    this.#state ??= openThreadState();
  }

  /** Gives the thread a record. False when the port is closed. */
  protected join(): boolean {
    const { memory } = this;
    this.prepare();
    if (!memory.lock(true)) return false;
    this.record = memory.join(this.#state!);
    memory.unlock();
    if (this.record >= 0) return true;
    this.ended();
    throw new IocpError('wait on a shared port', 'too many threads do', 'EAGAIN', 'wait');
  }

  /** Until it is this thread's turn, or the time is over, or the port is closed. */
  protected sleep(until: number): void {
    const { memory, record } = this;
    const { words } = memory;
    let watch = WATCH;
    for (;;) {
      const state = memory.state(record);
      // close() comes before it changes the states: a thread that lined up after that would not be woken.
      if ((state !== State.Waiting && state !== State.Watching) || memory.closed) return;
      const left = until === Number.POSITIVE_INFINITY ? until : until - performance.now();
      if (left <= 0) return;
      const pause = state === State.Watching ? Math.min(left, watch) : left;
      const outcome = Atomics.wait(words, record + Field.State, state, pause);
      if (outcome === 'ok') this.wakeUps++;
      else if (outcome === 'timed-out' && state === State.Watching) {
        watch = this.look() ? WATCH : Math.min(watch * 2, LONGEST_WATCH);
      }
    }
  }

  /**
   * Looks at the states of the threads that work: one that is blocked loses its slot, one that runs again is counted. True
   * when one was asleep.
   */
  protected look(): boolean {
    const { memory } = this;
    const seen = memory.workers().map((worker) => ({ worker, sleep: sleepOf(worker) }));
    if (!memory.lock(true)) return false;
    for (const { worker, sleep } of seen) memory.saw(worker, sleep);
    if (memory.state(this.record) === State.Watching && !memory.needsWatch) memory.move(this.record, State.Waiting);
    memory.dispatch();
    memory.unlock();
    return seen.some(({ sleep }) => sleep !== Sleep.Awake);
  }

  runs(threadId: number): boolean {
    return this.memory.runs(threadId);
  }

  protected ended(): null {
    const { stat, call } = this.#state ?? { stat: -1, call: -1 };
    this.#state = null;
    if (stat >= 0) closeSync(stat);
    if (call >= 0) closeSync(call);
    return null;
  }

  /** False when it worked on no packet. */
  #leave(): boolean {
    const { memory, record } = this;
    if (record < 0 || !memory.lock(true)) return false;
    const state = memory.state(record);
    const worked = state === State.Running || state === State.Blocked;
    if (worked) {
      memory.move(record, State.Away);
      memory.dispatch();
    }
    memory.unlock();
    return worked;
  }
}
