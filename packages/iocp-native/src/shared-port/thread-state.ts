// What a thread is doing, where the kernel says so in /proc (Linux).

import { openSync, readSync } from 'node:fs';

const line = Buffer.alloc(96);

/** A descriptor that tells any thread of this process about the calling one; -1 where there is none. */
export function openThreadStat(): number {
  try {
    return openSync('/proc/thread-self/stat', 'r');
  } catch {
    return -1;
  }
}

/**
 * True when the thread sleeps in the kernel. Its line reads "42 (node) S 1 ...": S for a sleep, D for one that nothing
 * interrupts. A thread that has ended is not asleep; what its descriptor's number names by now is of no consequence.
 */
export function isAsleep(stat: number): boolean {
  if (stat < 0) return false;
  try {
    const length = readSync(stat, line, 0, line.length, 0);
    // The name may have parentheses of its own.
    const state = line[line.lastIndexOf(')', length, 'latin1') + 2];
    return state === 0x53 || state === 0x44;
  } catch {
    return false;
  }
}
