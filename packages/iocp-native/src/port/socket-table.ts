// The sockets of a port, by slot. A kernel sends a slot's number back with each completion; the generation tells a late
// completion of the socket that had the slot before.

import assert from 'node:assert';
import type { Socket } from './socket.js';

/** Slots of a table: 24 bits. */
const MAX_SOCKETS = 0x1000000;
/** Generations wrap here: generation * 2^32 + index is still an exact double. */
const GENERATIONS = 0x100000;

export class SocketTable<S extends Socket> {
  readonly #sockets: (S | null)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];

  /** Gives the socket a slot: the one that became free last. */
  add(socket: S): void {
    const index = this.#free.pop() ?? this.#sockets.length;
    assert(index < MAX_SOCKETS, 'more sockets than a port can hold');
    socket.index = index;
    socket.generation = this.#generations[index] ?? 0;
    this.#sockets[index] = socket;
  }

  /** The socket in a slot, or null. */
  at(index: number): S | null {
    return this.#sockets[index] ?? null;
  }

  /** The socket in a slot, if the slot has had no other since. */
  find(index: number, generation: number): S | null {
    const socket = this.#sockets[index];
    return socket && socket.generation === generation ? socket : null;
  }

  /** Frees the socket's slot. */
  remove(socket: S): void {
    this.#sockets[socket.index] = null;
    this.#generations[socket.index] = (socket.generation + 1) % GENERATIONS;
    this.#free.push(socket.index);
  }

  /** All sockets, also those that are closing. */
  all(): S[] {
    return this.#sockets.filter((socket) => socket !== null);
  }
}
