// The shared port of posted packets where the kernel has none: shared memory and Atomics, with the rules of Windows.
//
// A thread that finds no packet looks out for one for a moment before it sleeps, one thread at a time: waking it up would
// cost more than a small job.

import { availableParallelism } from 'node:os';
import type { SharedPacket, SharedPort, SharedPortToken } from './contract.js';
import { PortMemory, State } from './memory.js';
import { SlotPort } from './slot-port.js';

/** Milliseconds that a thread looks out for a packet before it sleeps. With one core it would keep the poster from it. */
const LOOK_OUT = availableParallelism() > 1 ? 0.05 : 0;

export function createMemoryPort(concurrency: number): SharedPortToken {
  return { kind: 'memory', handle: -1, memory: PortMemory.create(concurrency).buffer };
}

export class MemoryPort extends SlotPort implements SharedPort {
  readonly #packet = { key: 0, bytes: 0 };

  constructor(token: SharedPortToken) {
    super(token.memory);
  }

  post(key: number, bytes: number): boolean {
    const { memory } = this;
    if (memory.closed || !memory.lock(false)) return false;
    const pushed = memory.push(key, bytes);
    if (pushed) memory.dispatch();
    memory.unlock();
    return pushed;
  }

  wait(timeout: number): SharedPacket | null {
    const { memory } = this;
    if (memory.closed || (this.record < 0 && !this.join()) || !memory.lock(true)) return this.ended();
    if (memory.shouldLook) {
      memory.unlock();
      this.look();
      if (!memory.lock(true)) return this.ended();
    }
    const { record } = this;
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
          if (!memory.lock(true)) return this.ended();
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
      this.sleep(until);
      if (memory.closed || !memory.lock(true)) return this.ended();
    }
  }

  #lookOut(): void {
    const { memory } = this;
    const until = performance.now() + LOOK_OUT;
    do {
      for (let i = 0; i < 100; i++) if (memory.queued > 0) return;
    } while (performance.now() < until && !memory.closed);
  }
}
