// The completions that a thread left in its ring when it ended. Some bring descriptors that the thread has not seen; others tell
// that a descriptor is closed which the thread's ledger has as open.

import { Operation } from '../../contract/port.js';
import { viewOf } from '../../native/koffi.js';
import { CQE_WORDS, PARAMS, SQ_FLAG } from '../layout.js';
import { operationOf } from './completions.js';
import { PAGE } from './ring.js';

export interface LeftCompletions {
  /** Descriptors of connections that were accepted. */
  readonly accepted: readonly number[];
  /** Descriptors that were closed, each as often as it was. */
  readonly closed: readonly number[];
  /** There were more completions than the queue holds. */
  readonly overflown: boolean;
}

/** @param page the ring's own, which must still be mapped, as must the ring. */
export function leftCompletions(page: number): LeftCompletions {
  const view = Buffer.from(viewOf(page, PAGE.size));
  const at = (offset: number) => view.readUInt32LE(PAGE.params + offset);
  const rings = Number(view.readBigUInt64LE(PAGE.rings));
  const accepted: number[] = [];
  const closed: number[] = [];
  if (rings === 0) return { accepted, closed, overflown: false };
  const entries = at(PARAMS.cqEntries);
  const words = new Int32Array(viewOf(rings, at(PARAMS.cqCqes) + entries * CQE_WORDS * 4));
  const first = at(PARAMS.cqCqes) >> 2;
  // The kernel may still post: an entry is read after the tail that names it.
  const tail = Atomics.load(words, at(PARAMS.cqTail) >> 2) >>> 0;
  for (let head = Atomics.load(words, at(PARAMS.cqHead) >> 2) >>> 0; head !== tail; head = (head + 1) >>> 0) {
    const entry = first + (head & (entries - 1)) * CQE_WORDS;
    const operation = operationOf(words[entry]!);
    const result = words[entry + 2]!;
    if (operation === Operation.Accept && result >= 0) accepted.push(result);
    if (operation === Operation.Close) closed.push(words[entry + 1]! >>> 0);
  }
  return { accepted, closed, overflown: (Atomics.load(words, at(PARAMS.sqFlags) >> 2) & SQ_FLAG.CQ_OVERFLOW) !== 0 };
}
