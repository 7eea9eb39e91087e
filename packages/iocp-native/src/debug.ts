// Debug mode of this repository's packages: OVERLAPPED_DEBUG=1 in the environment has them watch the slots of native memory.
// The variable is read once, when the package is loaded. Without it nothing is watched, and slots touch each other.
//
//   offset  0      size         stride
//           | slot | guard (64) | slot | guard (64) | ...
//
// A guard is written when its slot is first used, so that unused slots cost no pages. A slot holds POISON from its release
// to its next use.

import assert from 'node:assert';
import type { NativeBlock } from './native/memory.js';

/** Whether this process watches its memory. */
export const debugging = process.env.OVERLAPPED_DEBUG === '1';

/** The value of each byte of a slot from its release to its next use. */
export const POISON = 0xdb;
/** The value of each byte behind a slot. */
const GUARD = 0xfd;
/** Slots stay on the start of a cache line. */
const GUARD_SIZE = 64;
/** How many leaks a report tells about. */
const MOST_TOLD = 5;

/** Bytes from the start of a slot of `size` bytes to that of the next. */
export function strideOf(size: number): number {
  return debugging ? size + GUARD_SIZE : size;
}

/** Where something was acquired and released last. */
interface Use {
  acquired: Error | null;
  released: Error | null;
}

/** Remembers, for each key, the stack of its last acquire and of its last release. */
export class Uses<Key> {
  readonly #uses: { get(key: Key): Use | undefined; set(key: Key, use: Use): unknown };

  constructor(uses: { get(key: Key): Use | undefined; set(key: Key, use: Use): unknown } = new Map<Key, Use>()) {
    this.#uses = uses;
  }

  acquired(key: Key): void {
    this.#uses.set(key, { acquired: new Error('acquired'), released: null });
  }

  released(key: Key): void {
    const use = this.#uses.get(key);
    if (use !== undefined) use.released = new Error('released');
  }

  /** Both stacks, as far as they are known, each on lines of its own. */
  of(key: Key): string {
    const use = this.#uses.get(key);
    if (use === undefined) return '\n  never acquired';
    return [use.acquired, use.released].map((at) => (at === null ? '' : `\n  ${stackOf(at)}`)).join('');
  }
}

/** Slots of one block: their guards, their poison, and their users' stacks. */
export class SlotWatch {
  readonly uses = new Uses<number>();
  readonly #block: NativeBlock;
  readonly #slotOf: ((index: number) => Buffer) | undefined;
  readonly #size: number;
  readonly #stride: number;
  /** Slots that were used, and so have a guard. */
  readonly #used = new Set<number>();
  readonly #out = new Set<number>();
  readonly #guard: Buffer;
  readonly #poison: Buffer;

  /** @param slotOf where the slots are not seen through the block's own view. */
  constructor(block: NativeBlock, size: number, stride: number, slotOf?: (index: number) => Buffer) {
    this.#block = block;
    this.#slotOf = slotOf;
    this.#size = size;
    this.#stride = stride;
    this.#guard = Buffer.alloc(stride - size, GUARD);
    this.#poison = Buffer.alloc(size, POISON);
    watches.set(block, this);
  }

  /** A slot is out, or a reference more is held to it. */
  acquired(index: number): void {
    this.uses.acquired(index);
    this.#out.add(index);
    if (this.#used.has(index)) return;
    this.#used.add(index);
    this.#guardOf(index).set(this.#guard);
  }

  /** Throws an AssertionError when the slot was written to while it was free. Not for slots that the kernel fills. */
  checkPoison(index: number): void {
    if (!this.#used.has(index) || this.#slot(index).equals(this.#poison)) return;
    const at = this.#slot(index).findIndex((byte) => byte !== POISON);
    assert.fail(`byte ${at} of slot ${index} was written after its release:${this.uses.of(index)}`);
  }

  /** A slot is free: checks its guard, and poisons it. */
  released(index: number): void {
    this.uses.released(index);
    this.#out.delete(index);
    this.checkGuard(index);
    this.#slot(index).set(this.#poison);
  }

  /** Throws an AssertionError when bytes past the end of the slot were written. */
  checkGuard(index: number): void {
    const found = this.#guardOf(index);
    if (found.equals(this.#guard)) return;
    const at = found.findIndex((byte) => byte !== GUARD);
    // So that it is told once.
    found.set(this.#guard);
    assert.fail(`byte ${this.#size + at} of slot ${index}, of ${this.#size} bytes, was written:${this.uses.of(index)}`);
  }

  /** checkGuard() of every slot that was ever used. */
  checkGuards(): void {
    for (const index of this.#used) this.checkGuard(index);
  }

  /** The slots in use, and where they were acquired; or ''. */
  report(): string {
    const told = [...this.#out].slice(0, MOST_TOLD).map((index) => `\n slot ${index}:${this.uses.of(index)}`);
    const more = this.#out.size - told.length;
    return told.join('') + (more > 0 ? `\n and ${more} more` : '');
  }

  #slot(index: number): Buffer {
    if (this.#slotOf !== undefined) return this.#slotOf(index);
    const start = index * this.#stride;
    return this.#block.bytes.subarray(start, start + this.#size);
  }

  #guardOf(index: number): Buffer {
    const start = index * this.#stride;
    return this.#block.bytes.subarray(start + this.#size, start + this.#stride);
  }
}

const watches = new WeakMap<NativeBlock, SlotWatch>();

/** The watch of the slots in a block, or undefined outside of debug mode. */
export function watchOf(block: NativeBlock): SlotWatch | undefined {
  return watches.get(block);
}

function stackOf({ message, stack }: Error): string {
  // The first lines are those of this file.
  const lines = stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  return [`${message}:`, ...lines.slice(1).map((line) => `  ${line}`)].join('\n');
}
