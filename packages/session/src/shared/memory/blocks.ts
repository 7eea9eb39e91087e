// Blocks of bytes in memory that all threads see. Queues and frame buffers of all sessions lie in them.
//
// `words` has the count of the blocks in use, and two words for each block: its owner (0: free) and the next block of its chain.
// A block is taken by a compare-and-swap of its owner from 0, and given back by a store of 0. There is no free list and no lock, so
// no thread can end in the middle of a change that others depend on. The count grows after a block is taken, and falls before it is
// given back: it is never too high, even when a thread ends between the two.

/** At most the number of blocks that are in use. */
const USED = 0;
const HEADER = 1;

/** Where the blocks of a server lie. */
export interface BlockMemory {
  /** The words of the blocks: `blockWords()` of them from `at`. */
  readonly words: Int32Array;
  readonly at: number;
  /** The blocks themselves. */
  readonly bytes: Uint8Array;
  /** Bytes of a block. */
  readonly blockSize: number;
}

/** Words that `count` blocks need beside their bytes. */
export function blockWords(count: number): number {
  return HEADER + 2 * count;
}

/** One thread's view of the blocks. A block is named by its index; -1 stands for none. */
export class Blocks {
  readonly bytes: Uint8Array;
  /** Bytes of a block. */
  readonly size: number;
  readonly #words: Int32Array;
  readonly #count: number;
  readonly #used: number;
  readonly #owners: number;
  readonly #nexts: number;
  /** Where this thread looks for a free block. */
  #hint = 0;

  constructor({ words, at, bytes, blockSize }: BlockMemory) {
    this.bytes = bytes;
    this.size = blockSize;
    this.#words = words;
    this.#count = Math.floor(bytes.length / blockSize);
    this.#used = at + USED;
    this.#owners = at + HEADER;
    this.#nexts = at + HEADER + this.#count;
  }

  /** Blocks that are in use. It may be too low while a thread takes one or gives one back, and for each thread that ended then. */
  get used(): number {
    return Atomics.load(this.#words, this.#used);
  }

  /** Takes a block. @param owner not 0: the block is reclaimed by this number */
  take(owner: number): number {
    if (this.used >= this.#count) return -1;
    for (let looked = 0, block = this.#hint; looked < this.#count; looked++, block++) {
      if (block >= this.#count) block = 0;
      if (!this.#claim(block, owner)) continue;
      this.#hint = block + 1;
      return block;
    }
    return -1;
  }

  /** Takes `count` blocks that lie one after the other. Gives the first of them. */
  takeRun(count: number, owner: number): number {
    if (this.used + count > this.#count) return -1;
    let claimed = 0;
    let block = this.#hint;
    // A run may begin before the hint and end behind it, so the search goes on that far.
    for (let looked = 0; looked < this.#count + count; looked++, block++) {
      if (block >= this.#count) {
        this.giveRun(block - claimed, claimed);
        claimed = 0;
        block = 0;
      }
      if (!this.#claim(block, owner)) {
        this.giveRun(block - claimed, claimed);
        claimed = 0;
      } else if (++claimed === count) {
        this.#hint = block + 1;
        return block + 1 - count;
      }
    }
    this.giveRun(block - claimed, claimed);
    return -1;
  }

  /** The block behind this one in its chain. */
  nextOf(block: number): number {
    return this.#words[this.#nexts + block]! - 1;
  }

  link(block: number, next: number): void {
    this.#words[this.#nexts + block] = next + 1;
  }

  give(block: number): void {
    Atomics.sub(this.#words, this.#used, 1);
    Atomics.store(this.#words, this.#owners + block, 0);
  }

  giveRun(first: number, count: number): void {
    for (let block = first; block < first + count; block++) this.give(block);
  }

  /** Gives back all blocks of an owner, after the end of the thread that used them. No thread may take any for it meanwhile. */
  reclaim(owner: number): void {
    for (let block = 0; block < this.#count; block++) {
      if (Atomics.load(this.#words, this.#owners + block) === owner) this.give(block);
    }
  }

  #claim(block: number, owner: number): boolean {
    if (Atomics.compareExchange(this.#words, this.#owners + block, 0, owner) !== 0) return false;
    Atomics.add(this.#words, this.#used, 1);
    return true;
  }
}
