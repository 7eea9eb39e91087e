// The state of a thread: running, or asleep in a call, where the kernel says so in /proc (Linux).
//
// A thread that only computes also sleeps: its garbage collector hands work to the threads of Node's platform, under a lock that
// all threads of the process share. On a busy machine a holder of that lock loses its processor, and the thread sleeps for
// milliseconds. So a sleep in a lock counts as one of the handler's only when it is much longer than others.

import { openSync, read, readSync } from 'node:fs';
import { arch } from 'node:process';

/** The result of a look at a thread. */
export const Sleep = {
  Awake: 0,
  /** It waits for a lock of the process, or for memory: the garbage collector does that, too. */
  Lock: 1,
  /** It sleeps in Atomics.wait() or in a system call: the handler blocks. */
  Blocked: 2,
} as const;
export type Sleep = (typeof Sleep)[keyof typeof Sleep];

/** Descriptors that tell any thread of this process about the one that opened them; -1 where there are none. */
export interface ThreadState {
  /** /proc/.../stat: whether it sleeps. */
  readonly stat: number;
  /** /proc/.../syscall: in which call. */
  readonly call: number;
  /** Where the thread sleeps in Atomics.wait(): the address of the futex, in units of GRAIN, modulo RANGE; 0 where that is not known. */
  readonly futex: number;
}

const NONE: ThreadState = { stat: -1, call: -1, futex: 0 };

/** A condition variable of the C library sleeps on one of its words after the other: they lie this close together. */
const GRAIN = 64;
/** Addresses in units of GRAIN are kept modulo this. */
const RANGE = 2 ** 31;
/** A thread looks at itself so often at the most in one go, goes so often, and sleeps for so many milliseconds at a time until that is done. */
const MOST_LOOKS = 512;
const GOES = 30;
const NAP = 5;
const MOST_NAPS = 20;

/** The numbers of futex(2), and of the calls that change the memory of the process: mmap, mprotect, munmap, madvise. */
const CALLS: Partial<Record<NodeJS.Architecture, { readonly futex: number; readonly memory: readonly number[] }>> = {
  x64: { futex: 202, memory: [9, 10, 11, 28] },
  arm64: { futex: 98, memory: [222, 226, 215, 233] },
};
const calls = CALLS[arch];

const line = Buffer.alloc(256);

/** The sources of the calling thread's state. It sleeps for some milliseconds meanwhile. */
export function openThreadState(): ThreadState {
  const stat = open('/proc/thread-self/stat');
  if (stat < 0) return NONE;
  const call = calls === undefined ? -1 : open('/proc/thread-self/syscall');
  return { stat, call, futex: call < 0 ? 0 : ownFutex(call) };
}

/**
 * Where the calling thread sleeps in Atomics.wait(), as ThreadState has it; 0 if that is not seen, then each sleep counts as the
 * handler's. V8 sleeps on the same address each time, but where that lies differs between its versions. So threads of libuv's
 * pool read in which call this one is, while it sleeps: more and more often in one go, as they may be done before it does.
 */
function ownFutex(call: number): number {
  const word = new Int32Array(new SharedArrayBuffer(4));
  for (let go = 0, looks = 1; go < GOES; go++, looks = Math.min(looks * 2, MOST_LOOKS)) {
    let text = line;
    for (let look = 0; look < looks; look++) {
      text = Buffer.alloc(line.length);
      read(call, text, 0, text.length, 0, () => {});
    }
    for (let naps = 0; text[0] === 0 && naps < MOST_NAPS; naps++) Atomics.wait(word, 0, 0, NAP);
    // The address, the operation, the value, and where the longest time lies: a thread that waits for a lock has none.
    const [number, address, , , timeout] = text.toString('latin1').split(' ');
    if (Number(number) === calls?.futex && Number(timeout) !== 0) return grainOf(Number(address));
  }
  return 0;
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch {
    return -1;
  }
}

const grainOf = (address: number): number => Math.floor(address / GRAIN) % RANGE;

/**
 * The state of a thread. A thread that has ended is awake; the files that its descriptors' numbers name by now do not matter.
 */
export function sleepOf({ stat, call, futex }: ThreadState): Sleep {
  if (!isAsleep(stat)) return Sleep.Awake;
  if (call < 0 || futex === 0 || calls === undefined) return Sleep.Blocked;
  // "202 0x7f0fcc010610 0x189 ...", or "running", or "-1 ..." in a page fault.
  const text = readLine(call);
  const number = Number.parseInt(text, 10);
  if (Number.isNaN(number)) return Sleep.Awake;
  if (number < 0 || calls.memory.includes(number)) return Sleep.Lock;
  if (number !== calls.futex) return Sleep.Blocked;
  const address = Number.parseInt(text.slice(text.indexOf(' ') + 1), 16);
  return Math.abs(grainOf(address) - futex) <= 1 ? Sleep.Blocked : Sleep.Lock;
}

/** True when the thread sleeps in the kernel. Its line reads "42 (node) S 1 ...": S for a sleep, D for one that nothing interrupts. */
function isAsleep(stat: number): boolean {
  const text = readLine(stat);
  // The name may have parentheses of its own.
  const state = text[text.lastIndexOf(')') + 2];
  return state === 'S' || state === 'D';
}

function readLine(file: number): string {
  if (file < 0) return '';
  try {
    return line.toString('latin1', 0, readSync(file, line, 0, line.length, 0));
  } catch {
    return '';
  }
}
