// IocpEvent: the record of one operation in flight, in native memory that starts with an OVERLAPPED; and their pool.
//
//   tag:  31        20 19                 0
//        | generation |       index       |     another value whenever the slot is used anew

import assert from 'node:assert';
import { EVENT_SIZE, type NativeBlock, Operation, type Overlapped } from '@overlapped/iocp-native';
import { debugging, sectionOf } from '@overlapped/iocp-native/internal';
import { Slab } from './slab.js';

const INDEX_BITS = 20;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
const GENERATION_MASK = 0xfff;
/** Slots of a section: a multiple of 64, so that sections are whole pages, also with the guards of debug mode. */
const SECTION = 1024;

/** An operation in flight. Its fields are small integers and references, so an operation allocates nothing. */
export class IocpEvent<Owner = unknown> implements Overlapped {
  readonly block: NativeBlock;
  readonly offset: number;
  /** Its slot in the pool. */
  readonly index: number;
  /** Changes, modulo 4096, whenever the event is released. */
  generation: number;
  pending: boolean;
  /** The kind of operation that it was acquired for. */
  operation: Operation;
  /** The object that gets the packet. Null while the event is free. */
  owner: Owner | null;

  /** @param offset a multiple of 16, with EVENT_SIZE bytes of the block behind it. */
  constructor(block: NativeBlock, offset: number, index: number) {
    assert(offset >= 0 && offset % 16 === 0 && offset + EVENT_SIZE <= block.size, `an event at ${offset}`);
    this.block = block;
    this.offset = offset;
    this.index = index;
    this.generation = 0;
    this.pending = false;
    this.operation = Operation.Post;
    this.owner = null;
  }

  // Computed, because half of the tags are too large to be stored as a small integer.
  get tag(): number {
    return ((this.generation << INDEX_BITS) | this.index) >>> 0;
  }
}

/**
 * The events of one port: a fixed number, made when first needed and reused for ever. It belongs to the port's thread.
 *
 * The events lie in sections of the block, each a block with a view of its own. V8 counts the bytes of a view as memory that the
 * garbage collector can free, and starts full collections by that count; a view of all events would count as 54 MiB.
 */
export class IocpEventPool<Owner = unknown> {
  readonly #slab: Slab;
  readonly #events: (IocpEvent<Owner> | undefined)[] = [];
  /** Made when first needed. In debug mode there are none: guards are checked in the view of the whole block. */
  readonly #sections: NativeBlock[] = [];

  /** @param capacity 2^20 at most; the block must hold `capacity * EVENT_SIZE` bytes (see Slab.bytesFor). */
  constructor(block: NativeBlock, capacity: number) {
    assert(capacity <= INDEX_MASK + 1, `a pool of ${capacity} events`);
    this.#slab = new Slab(block, EVENT_SIZE, capacity);
  }

  /** The block that its records lie in. */
  get block(): NativeBlock {
    return this.#slab.block;
  }

  /** How many events there are. */
  get capacity(): number {
    return this.#slab.capacity;
  }

  /** Events that are out. */
  get out(): number {
    return this.#slab.out;
  }

  /** A free event, or null when all are out. */
  acquire(owner: Owner, operation: Operation): IocpEvent<Owner> | null {
    const index = this.#slab.acquire();
    if (index === -1) return null;
    const event = this.#events[index] ?? this.#create(index);
    event.owner = owner;
    event.operation = operation;
    return event;
  }

  /** Gives an event back. The port must be done with it: an event that is pending belongs to the kernel, and asserts. */
  release(event: IocpEvent<Owner>): void {
    const { index } = event;
    if (this.#events[index] !== event) this.#failForeign(event);
    if (event.pending) assert.fail(`release of event ${index}, which is pending`);
    this.#slab.release(index);
    event.generation = this.#slab.generationOf(index) & GENERATION_MASK;
    event.owner = null;
    if (debugging) this.#retire(event);
  }

  /** The event that a tag names, or null when that event has been released since. */
  at(tag: number): IocpEvent<Owner> | null {
    const event = this.#events[tag & INDEX_MASK];
    return event !== undefined && event.tag === tag && this.#slab.isLive(event.index) ? event : null;
  }

  /** Tear-down: every event must have come back. Throws an AssertionError that says how many of each kind have not. */
  assertEmpty(): void {
    if (this.out !== 0) this.#slab.assertEmpty(`events (${this.#kindsOut()})`);
  }

  #create(index: number): IocpEvent<Owner> {
    const event = this.#place(index);
    event.generation = this.#slab.generationOf(index) & GENERATION_MASK;
    this.#events[index] = event;
    return event;
  }

  #place(index: number): IocpEvent<Owner> {
    const { block } = this.#slab;
    const offset = this.#slab.offsetOf(index);
    if (debugging) return new IocpEvent(block, offset, index);
    const number = Math.floor(index / SECTION);
    const start = this.#slab.offsetOf(number * SECTION);
    const size = Math.min(this.#slab.offsetOf(SECTION), block.size - start);
    this.#sections[number] ??= sectionOf(block, start, size);
    return new IocpEvent(this.#sections[number]!, offset - start, index);
  }

  /** Tells this use of the slot, and its late packets, from the next use. */
  #retire(event: IocpEvent<Owner>): void {
    const { index } = event;
    this.#events[index] = undefined;
    const get = () => assert.fail(`use of event ${index}, which was released${this.#slab.usesOf(index)}`);
    Object.defineProperty(event, 'owner', { get });
  }

  #failForeign({ block, index }: IocpEvent<Owner>): never {
    const stale = debugging && block === this.#slab.block;
    if (!stale) assert.fail('release of an event of another pool');
    assert.fail(`release of event ${index}, which was released before${this.#slab.usesOf(index)}`);
  }

  #kindsOut(): string {
    const live = this.#events.filter((event) => event !== undefined && this.#slab.isLive(event.index));
    const kinds = Object.entries(Operation).map(([name, operation]) => {
      const count = live.filter((event) => event?.operation === operation).length;
      return count === 0 ? '' : `${count} ${name}`;
    });
    return kinds.filter((kind) => kind !== '').join(', ');
  }
}
