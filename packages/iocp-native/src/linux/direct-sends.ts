// The system call of a direct send: the pieces of a GatherList, and behind them a caller's arrays, which the kernel reads where they lie.

import { countOf } from '../contract/gather-list.js';
import type { GatherList, Overlapped } from '../contract/port.js';
import { lengthOf } from '../typed-arrays.js';
import type { Calls } from './calls.js';
import { EAGAIN, EINTR, linuxPacketError } from './errors.js';
import { errno } from './libc.js';
import { argumentsOf, writeArray, writeCount, writeMessage } from './messages.js';

/** Sends what the kernel takes of an array by one call, which must not wait (`flags`). Gives the number of bytes. Throws an IocpError. */
export function sendArray(calls: Calls, fd: number, array: Uint8Array, flags: number): number {
  for (;;) {
    const taken = calls.sendArray(fd, array, lengthOf(array), flags);
    if (taken >= 0) return taken;
    const code = errno();
    if (code === EAGAIN) return 0;
    if (code !== EINTR) throw linuxPacketError('send', 'send', code);
  }
}

/** Bytes of all arrays. */
export function lengthOfAll(arrays: readonly Uint8Array[]): number {
  let length = 0;
  for (const array of arrays) length += lengthOf(array);
  return length;
}

/**
 * Sends by one call, which must not wait (`flags`). Gives the number of bytes that the kernel has taken, or -1: see errno().
 *
 * No JavaScript but this runs between the look at an array's address and the end of the call, so the memory stays where it is. The
 * event names no array afterwards: its msghdr has the pieces only, for the sends of what is left of them.
 */
export function sendArrays(
  calls: Calls,
  fd: number,
  event: Overlapped,
  pieces: GatherList,
  arrays: readonly Uint8Array[],
  flags: number,
): number {
  const count = countOf(pieces);
  if (count === 0 && arrays.length === 1) return calls.sendArray(fd, arrays[0]!, lengthOf(arrays[0]!), flags);
  writeMessage(event, pieces);
  const own = event.block.address + event.offset;
  for (let i = 0; i < arrays.length; i++) {
    const array = arrays[i]!;
    writeArray(event, count + i, calls.addressOf(array, own, 0), lengthOf(array));
  }
  writeCount(event, count + arrays.length);
  const taken = calls.sendmsg(fd, argumentsOf(event), flags);
  writeCount(event, count);
  for (let i = 0; i < arrays.length; i++) writeArray(event, count + i, 0, 0);
  return taken;
}
