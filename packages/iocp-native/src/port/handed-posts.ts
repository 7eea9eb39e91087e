// The posts of other threads that the last dequeue() of a port has brought. They may name sockets that no port owns yet, and
// the thread may end while it handles any packet of that batch: so each stays in the thread's ledger until adopt() or
// closeHandle() takes its handle, or the next dequeue() begins, by which the whole batch has been served.

import { becomeHandle, Owned, own, strike } from '../native/ledger.js';

/** Those of every port of this thread that have posts of a batch recorded. */
const all = new Set<HandedPosts>();

export class HandedPosts {
  /** Their records, and the numbers posted: one of these may be a handle. */
  readonly #records: number[] = [];
  readonly #keys: number[] = [];
  readonly #bytes: number[] = [];

  /** The next packet of the batch is this post. */
  add(record: number, key: number, bytes: number): void {
    if (record < 0) return;
    if (this.#records.length === 0) all.add(this);
    this.#records.push(record);
    this.#keys.push(key);
    this.#bytes.push(bytes);
  }

  /** The batch has been served. */
  served(): void {
    if (this.#records.length === 0) return;
    for (const record of this.#records) strike(record);
    this.#clear();
  }

  /** The port is closed: packets of the batch that were not served stay in the ledger. */
  leave(): void {
    this.#clear();
  }

  /** Takes out the post that names a handle, and gives its record; -1 for none. */
  take(handle: number): number {
    let at = this.#bytes.indexOf(handle);
    if (at < 0) at = this.#keys.indexOf(handle);
    if (at < 0) return -1;
    const record = this.#records[at]!;
    this.#records[at] = -1;
    this.#keys[at] = -1;
    this.#bytes[at] = -1;
    return record;
  }

  #clear(): void {
    this.#records.length = 0;
    this.#keys.length = 0;
    this.#bytes.length = 0;
    all.delete(this);
  }
}

/** Records a handle, which a post may have brought: at no moment it has two owners, or none. */
export function ownPosted(handle: number): void {
  const record = take(handle);
  if (record < 0) own(Owned.Handle, handle);
  else becomeHandle(record, handle);
}

/** A handle that a post may have brought is about to be closed. */
export function dropPosted(handle: number): void {
  strike(take(handle));
}

/**
 * This thread ends, and dequeues once more for that: packets that its ports have dequeued so far, and not adopted, are not
 * served, and stay in the ledger. To be called before each such dequeue().
 */
export function leavePosted(): void {
  for (const posts of [...all]) posts.leave();
}

function take(handle: number): number {
  for (const posts of all) {
    const record = posts.take(handle);
    if (record >= 0) return record;
  }
  return -1;
}
