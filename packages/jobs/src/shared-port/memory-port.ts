// The shared port where the kernel has none: shared memory and Atomics, with the rules of Windows.
//
// Linux does not tell who waits for a slot that its holder is blocked. So while packets are queued and all slots are
// taken, the thread that is next in line watches: now and then it looks what the holders are doing, and takes the slots
// of those that are blocked. One that runs again is counted again; until some thread comes back to wait(), more than
// `concurrency` threads run, as on Windows. When nothing is queued nobody watches, and an idle port uses no CPU.
//
// A thread that finds no packet looks out for one for a moment before it sleeps, one thread at a time: waking it up would
// cost more than a small job.

import { closeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { IocpError } from '@overlapped/iocp-native';
import type { SharedPacket, SharedPort, SharedPortToken } from './contract.js';
import { Field, PortMemory, State } from './memory.js';
import { isAsleep, openThreadStat } from './thread-state.js';

/**
 * Milliseconds between two looks of the thread that watches. It takes two to find that a thread is blocked. While it finds
 * nobody asleep it looks more and more seldom.
 */
const WATCH = 0.25;
const LONGEST_WATCH = 2;
/** Milliseconds that a thread looks out for a packet before it sleeps. With one core it would keep the poster from it. */
const LOOK_OUT = availableParallelism() > 1 ? 0.05 : 0;

export function createMemoryPort(concurrency: number): SharedPortToken {
  return { kind: 'memory', handle: -1, memory: PortMemory.create(concurrency).buffer };
}

export class MemoryPort implements SharedPort {
  wakeUps = 0;
  readonly #memory: PortMemory;
  readonly #packet = { key: 0, bytes: 0 };
  /** This thread's record, from its first wait() on. */
  #record = -1;
  #stat = -1;

  constructor(token: SharedPortToken) {
    this.#memory = new PortMemory(token.memory);
  }

  get closed(): boolean {
    return this.#memory.closed;
  }

  post(key: number, bytes: number): boolean {
    const memory = this.#memory;
    if (memory.closed || !memory.lock(false)) return false;
    const pushed = memory.push(key, bytes);
    if (pushed) memory.dispatch();
    memory.unlock();
    return pushed;
  }

  wait(timeout: number): SharedPacket | null {
    const memory = this.#memory;
    if (memory.closed || !memory.lock(true)) return this.#ended();
    if (this.#record < 0) this.#join();
    if (memory.shouldLook) {
      memory.unlock();
      this.#look();
      if (!memory.lock(true)) return this.#ended();
    }
    const record = this.#record;
    const until = timeout > 0 ? performance.now() + timeout : timeout < 0 ? Number.POSITIVE_INFINITY : 0;
    let lookOut = timeout !== 0;
    for (;;) {
      if (memory.acquire(record)) {
        if (memory.take(record, this.#packet)) {
          memory.unlock();
          return this.#packet;
        }
        // Not counting this thread: is another one looking out?
        memory.move(record, State.Running);
        if (lookOut && !memory.expectsThread) {
          lookOut = false;
          memory.move(record, State.Coming);
          memory.unlock();
          this.#lookOut();
          if (!memory.lock(true)) return this.#ended();
          continue;
        }
      }
      if (until !== Number.POSITIVE_INFINITY && performance.now() >= until) {
        memory.move(record, State.Away);
        memory.dispatch();
        memory.unlock();
        return null;
      }
      memory.lineUp(record);
      memory.dispatch();
      memory.unlock();
      this.#sleep(until);
      if (memory.closed || !memory.lock(true)) return this.#ended();
    }
  }

  blocking<T>(fn: () => T): T {
    if (!this.#leave()) return fn();
    try {
      return fn();
    } finally {
      const memory = this.#memory;
      if (memory.lock(true)) {
        // One more than the limit may run now, until the next of them comes back to wait().
        memory.move(this.#record, State.Running);
        memory.unlock();
      }
    }
  }

  leave(): void {
    this.#leave();
  }

  close(): void {
    this.#memory.close();
    this.#ended();
  }

  recover(threadId: number): void {
    this.#memory.recover(threadId);
  }

  #join(): void {
    const stat = openThreadStat();
    const record = this.#memory.join(stat);
    if (record < 0) {
      this.#memory.unlock();
      if (stat >= 0) closeSync(stat);
      throw new IocpError('wait on a shared port', 'too many threads do', 'EAGAIN', 'wait');
    }
    this.#record = record;
    this.#stat = stat;
  }

  /** False when it worked on no packet. */
  #leave(): boolean {
    const memory = this.#memory;
    const record = this.#record;
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

  #lookOut(): void {
    const memory = this.#memory;
    const until = performance.now() + LOOK_OUT;
    do {
      for (let i = 0; i < 100; i++) if (memory.queued > 0) return;
    } while (performance.now() < until && !memory.closed);
  }

  /** Until it is this thread's turn, or the time is over, or the port is closed. */
  #sleep(until: number): void {
    const memory = this.#memory;
    const { words } = memory;
    const record = this.#record;
    let watch = WATCH;
    for (;;) {
      const state = memory.state(record);
      // close() comes before it changes the states: who lined up after that would not be woken.
      if ((state !== State.Waiting && state !== State.Watching) || memory.closed) return;
      const left = until === Number.POSITIVE_INFINITY ? until : until - performance.now();
      if (left <= 0) return;
      const pause = state === State.Watching ? Math.min(left, watch) : left;
      const outcome = Atomics.wait(words, record + Field.State, state, pause);
      if (outcome === 'ok') this.wakeUps++;
      else if (outcome === 'timed-out' && state === State.Watching) {
        watch = this.#look() ? WATCH : Math.min(watch * 2, LONGEST_WATCH);
      }
    }
  }

  /**
   * Looks what the threads that work are doing: one that is blocked loses its slot, one that runs again is counted. True
   * when one was asleep.
   */
  #look(): boolean {
    const memory = this.#memory;
    const seen = memory.workers().map((worker) => ({ worker, asleep: isAsleep(worker.stat) }));
    if (!memory.lock(true)) return false;
    for (const { worker, asleep } of seen) memory.saw(worker, asleep);
    if (memory.state(this.#record) === State.Watching && memory.queued === 0) memory.move(this.#record, State.Waiting);
    memory.dispatch();
    memory.unlock();
    return seen.some(({ asleep }) => asleep);
  }

  #ended(): null {
    if (this.#stat >= 0) closeSync(this.#stat);
    this.#stat = -1;
    return null;
  }
}
