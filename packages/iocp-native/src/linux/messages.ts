// The arguments of an operation, in its event: a msghdr with its iovecs and the address of a datagram, or a socket address.
//
//   event   0            32         64       120  128                                384
//           | OVERLAPPED | sockaddr | msghdr |    | iovec 0 | iovec 1 | ... iovec 15 |

import { blockOf, bytesOf, countOf, offsetOf } from '../contract/gather-list.js';
import type { Endpoint, GatherList, Overlapped } from '../contract/port.js';
import { readSockaddr } from '../native/sockaddr.js';
import { writeTarget as writeSockaddrOf } from '../port/datagrams.js';
import { AF_INET6, IOVEC, MSGHDR } from './layout.js';
import { linuxZones } from './zones.js';

/** Where in an event the address of a datagram lies. */
const TARGET = 32;
/** Where in an event the arguments of its operation lie: a msghdr, or a socket address. */
export const ARGUMENTS = 64;
const IOVECS = 128;

/** Writes a 64-bit address, which fits a double exactly, at a word's index. */
export function writeAddress64(words: Uint32Array, at: number, address: number): void {
  words[at] = address;
  words[at + 1] = Math.floor(address / 0x100000000);
}

/** Where in memory an operation's arguments lie. */
export function argumentsOf({ block, offset }: Overlapped): number {
  return block.address + offset + ARGUMENTS;
}

/** Lays out a msghdr without an address, and its iovecs. */
export function writeMessage(event: Overlapped, pieces: GatherList): void {
  const { words, address } = event.block;
  const header = (event.offset + ARGUMENTS) >> 2;
  words.fill(0, header, header + (MSGHDR.size >> 2));
  writeAddress64(words, header + (MSGHDR.iov >> 2), address + event.offset + IOVECS);
  const count = countOf(pieces);
  words[header + (MSGHDR.iovlen >> 2)] = count;
  for (let i = 0; i < count; i++) {
    const at = (event.offset + IOVECS + i * IOVEC.size) >> 2;
    writeAddress64(words, at, blockOf(pieces, i).address + offsetOf(pieces, i));
    words[at + 2] = bytesOf(pieces, i);
    words[at + 3] = 0;
  }
}

/** Lays out iovecs for an array's memory: `index` counts the iovecs before it. */
export function writeArray(event: Overlapped, index: number, address: number, length: number): void {
  const { words } = event.block;
  const at = (event.offset + IOVECS + index * IOVEC.size) >> 2;
  writeAddress64(words, at, address);
  writeAddress64(words, at + 2, length);
}

/** Sets how many iovecs the msghdr has. */
export function writeCount(event: Overlapped, count: number): void {
  event.block.words[(event.offset + ARGUMENTS + MSGHDR.iovlen) >> 2] = count;
}

/** Writes where the datagram of a message goes, for a socket of `family`. False when such a socket cannot reach that address. */
export function writeTarget(event: Overlapped, to: Endpoint, family: 4 | 6): boolean {
  const { block, offset } = event;
  const length = writeSockaddrOf(to, family, block, offset + TARGET, AF_INET6, linuxZones);
  if (length === 0) return false;
  const header = (offset + ARGUMENTS) >> 2;
  writeAddress64(block.words, header, block.address + offset + TARGET);
  block.words[header + (MSGHDR.namelen >> 2)] = length;
  return true;
}

/** The address that writeTarget() wrote. */
export function readTarget(event: Overlapped): Endpoint {
  return readSockaddr(event.block.bytes, event.offset + TARGET, linuxZones);
}

/** Takes bytes off the start of the memory that the iovecs name. */
export function skip(event: Overlapped, bytes: number): void {
  const { words } = event.block;
  let left = bytes;
  for (let at = (event.offset + IOVECS) >> 2; left > 0; at += IOVEC.size >> 2) {
    const length = words[at + 2]!;
    const taken = Math.min(length, left);
    const base = words[at]! + taken;
    words[at] = base;
    if (base > 0xffffffff) words[at + 1]!++;
    words[at + 2] = length - taken;
    left -= taken;
  }
}
