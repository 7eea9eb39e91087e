// The free receive buffers of a port, and the streams that wait for one.

import type { PortStats } from '../../contract/port.js';
import { FreeList } from '../../port/receive-buffers.js';
import type { EpollSocket } from './socket.js';
import type { Watching } from './watching.js';

export class FreeBuffers {
  readonly #slots: FreeList;
  readonly #stats: PortStats;
  readonly #watching: Watching;
  /** Streams that found no buffer, oldest first. Those that have ended since are not `starved` any more. */
  readonly #starved: EpollSocket[] = [];

  constructor(count: number, stats: PortStats, watching: Watching) {
    this.#slots = new FreeList(count);
    this.#stats = stats;
    this.#watching = watching;
  }

  /** Takes a buffer: the one that was used last, which is still in the cache. -1 when none is free. */
  take(): number {
    return this.#slots.pop();
  }

  /** A buffer is free again. The stream that has waited longest is served in the next dequeue(). */
  give(buffer: number): void {
    this.#slots.push(buffer);
    while (this.#starved.length > 0) {
      const socket = this.#starved.shift()!;
      if (!socket.starved) continue;
      socket.starved = false;
      this.#watching.list(socket);
      return;
    }
  }

  /** A buffer was not needed. */
  putBack(buffer: number): void {
    this.#slots.push(buffer);
  }

  /** There is data, and no buffer is free: the stream waits for one. */
  starve(socket: EpollSocket): void {
    this.#stats.starved++;
    socket.starved = true;
    this.#starved.push(socket);
  }
}
