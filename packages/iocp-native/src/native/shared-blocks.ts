// Which blocks the threads of this process may view by their address: a list in shared memory, which a thread hands on to those that
// it starts. Without it, blockAt() would take any number for an address.

import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import type { NativeBlock } from './memory.js';

const NAME = 'overlapped:shared-blocks';
/** An address and a size. */
const WIDTH = 2;
const FIRST = 256 * WIDTH * Float64Array.BYTES_PER_ELEMENT;
const MOST = 2 ** 16 * WIDTH * Float64Array.BYTES_PER_ELEMENT;

/**
 * Lets the threads that this one starts from now on view a block, with blockAt(). A block that serves another port is shared
 * already. Throws a RangeError for more than 65,536 blocks.
 */
export function shareBlock({ address, size }: NativeBlock): void {
  let list = listOf();
  if (list === null) {
    setEnvironmentData(NAME, new SharedArrayBuffer(FIRST, { maxByteLength: MOST }));
    list = listOf()!;
  }
  if (find(list, address, size) >= 0) return;
  let at = find(list, 0, 0);
  if (at < 0) {
    at = list.length;
    const memory = list.buffer as SharedArrayBuffer;
    memory.grow(memory.byteLength * 2);
    list = new Float64Array(memory);
  }
  list[at + 1] = size;
  list[at] = address;
}

export function isShared(address: number, size: number): boolean {
  const list = listOf();
  return list !== null && address > 0 && find(list, address, size) >= 0;
}

function listOf(): Float64Array | null {
  const memory = getEnvironmentData(NAME);
  return memory instanceof SharedArrayBuffer ? new Float64Array(memory) : null;
}

function find(list: Float64Array, address: number, size: number): number {
  for (let at = 0; at < list.length; at += WIDTH) if (list[at] === address && list[at + 1] === size) return at;
  return -1;
}
