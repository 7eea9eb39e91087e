// Events for the tests, carved from a port's memory. They are never reused unless a test does so with renew().

import { type CompletionPort, EVENT_SIZE, type Overlapped } from '../../src/contract/port.js';
import type { NativeBlock } from '../../src/native/memory.js';

export class TestEvent implements Overlapped {
  readonly block: NativeBlock;
  readonly offset: number;
  readonly #slot: number;
  #generation = 0;
  pending = false;

  constructor(block: NativeBlock, slot: number, offset: number) {
    this.block = block;
    this.offset = offset;
    this.#slot = slot;
  }

  get tag(): number {
    return ((this.#generation << 16) | this.#slot) >>> 0;
  }

  /** The slot was given back and taken anew. */
  renew(): this {
    this.#generation = (this.#generation + 1) & 0xffff;
    return this;
  }
}

const PER_BLOCK = 64;

export class TestEvents {
  readonly all: TestEvent[] = [];
  readonly #port: CompletionPort;
  #block: NativeBlock | undefined;

  constructor(port: CompletionPort) {
    this.#port = port;
  }

  take(): TestEvent {
    const index = this.all.length % PER_BLOCK;
    if (this.#block === undefined || index === 0) this.#block = this.#port.allocate(PER_BLOCK * EVENT_SIZE);
    const event = new TestEvent(this.#block, this.all.length, index * EVENT_SIZE);
    this.all.push(event);
    return event;
  }
}
