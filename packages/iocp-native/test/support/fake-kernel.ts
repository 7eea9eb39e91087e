// The kernel behind a fake Windows: it brings the packets that a test queues to GetQueuedCompletionStatusEx, and lets
// functions write to the addresses that they are given.

import type { Overlapped, PortSocket } from '../../src/contract/port.js';
import { type MemorySource, plainMemory } from '../../src/native/memory.js';

const ENTRY_WORDS = 8;
const ENTRY_OVERLAPPED = 2;
const ENTRY_BYTES = 6;

interface Slot {
  readonly index: number;
  readonly generation: number;
}

export class FakeKernel {
  readonly #views = new Map<number, Uint32Array>();
  #entries: number[][] = [];

  /** Where the port's memory is to come from. */
  readonly memory: MemorySource = {
    ...plainMemory,
    view: (address, size) => {
      const view = plainMemory.view(address, size);
      if (!this.#views.has(address)) this.#views.set(address, new Uint32Array(view));
      return view;
    },
  };

  /** The answer of GetQueuedCompletionStatusEx. */
  readonly dequeue = (_port: number, at: number, most: number, removed: number): number => {
    const entries = this.#entries.splice(0, most);
    for (const [i, entry] of entries.entries()) this.wordsAt(at).set(entry, i * ENTRY_WORDS);
    this.wordsAt(at)[(removed - at) >> 2] = entries.length;
    return entries.length > 0 ? 1 : 0;
  };

  /** The words of the block that starts at an address. */
  wordsAt(address: number): Uint32Array {
    return this.#views.get(address)!;
  }

  /** An operation ends: its packet is the next one. */
  complete(socket: PortSocket, { block, offset }: Overlapped, status: number, bytes: number): void {
    const { index, generation } = socket as unknown as Slot;
    const overlapped = block.address + offset;
    block.words[offset >> 2] = status;
    const entry: number[] = new Array(ENTRY_WORDS).fill(0);
    entry[0] = index;
    entry[1] = generation;
    entry[ENTRY_OVERLAPPED] = overlapped;
    entry[ENTRY_OVERLAPPED + 1] = Math.floor(overlapped / 0x100000000);
    entry[ENTRY_BYTES] = bytes;
    this.#entries.push(entry);
  }
}
