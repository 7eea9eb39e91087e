// The state of a thread: running, or asleep in a call, where the kernel says so in /proc (Linux).
//
// A thread that only computes also sleeps: its garbage collector hands work to the threads of Node's platform, under a lock that
// all threads of the process share. On a busy machine a holder of that lock loses its processor, and the thread sleeps for
// milliseconds. So a sleep in a lock counts as one of the handler's only when it is much longer than others.

import { existsSync, openSync, readlinkSync, readSync } from 'node:fs';
import { arch } from 'node:process';
import { native } from '../native/event-loop.js';

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
  /** Where V8's Isolate of the thread lies, in units of GRAIN, modulo RANGE; 0 where that is not known. */
  readonly isolate: number;
}

const NONE: ThreadState = { stat: -1, call: -1, isolate: 0 };

/** The condition variable of Atomics.wait() is a member of the Isolate, which has less than SIZE times GRAIN bytes. */
const GRAIN = 256;
const SIZE = 512;
/** Addresses in units of GRAIN are kept modulo this. */
const RANGE = 2 ** 31;

/** The numbers of futex(2), and of the calls that change the memory of the process: mmap, mprotect, munmap, madvise. */
const CALLS: Partial<Record<NodeJS.Architecture, { readonly futex: number; readonly memory: readonly number[] }>> = {
  x64: { futex: 202, memory: [9, 10, 11, 28] },
  arm64: { futex: 98, memory: [222, 226, 215, 233] },
};
const calls = CALLS[arch];

const line = Buffer.alloc(256);

/** The sources of the calling thread's state. @param isolate of currentIsolate(), or 0: then each sleep counts as the handler's */
export function openThreadState(isolate = 0): ThreadState {
  const stat = open('/proc/thread-self/stat');
  return stat < 0 ? NONE : { stat, call: isolate === 0 ? -1 : open('/proc/thread-self/syscall'), isolate };
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch {
    return -1;
  }
}

/** Where the Isolate of the calling thread lies, as ThreadState has it; 0 where Node does not tell, or it is of no use. */
export function currentIsolate(): number {
  // From V8 13 on (Node.js 24) Atomics.wait() sleeps on memory outside of the Isolate: there each sleep counts as the handler's.
  if (Number.parseInt(process.versions.v8, 10) > 12) return 0;
  try {
    return grainOf(native('intptr_t _ZN2v87Isolate10GetCurrentEv()')());
  } catch {
    return 0;
  }
}

const grainOf = (address: number): number => Math.floor(address / GRAIN) % RANGE;

/**
 * The state of a thread. A thread that has ended is awake; the files that its descriptors' numbers name by now do not matter.
 */
export function sleepOf({ stat, call, isolate }: ThreadState): Sleep {
  if (!isAsleep(stat)) return Sleep.Awake;
  if (call < 0 || isolate === 0 || calls === undefined) return Sleep.Blocked;
  // "202 0x7f0fcc010610 0x189 ...", or "running", or "-1 ..." in a page fault.
  const text = read(call);
  const number = Number.parseInt(text, 10);
  if (Number.isNaN(number)) return Sleep.Awake;
  if (number < 0 || calls.memory.includes(number)) return Sleep.Lock;
  if (number !== calls.futex) return Sleep.Blocked;
  const address = Number.parseInt(text.slice(text.indexOf(' ') + 1), 16);
  const distance = (grainOf(address) - isolate + RANGE) % RANGE;
  return distance < SIZE ? Sleep.Blocked : Sleep.Lock;
}

/** True when the thread sleeps in the kernel. Its line reads "42 (node) S 1 ...": S for a sleep, D for one that nothing interrupts. */
function isAsleep(stat: number): boolean {
  const text = read(stat);
  // The name may have parentheses of its own.
  const state = text[text.lastIndexOf(')') + 2];
  return state === 'S' || state === 'D';
}

function read(file: number): string {
  if (file < 0) return '';
  try {
    return line.toString('latin1', 0, readSync(file, line, 0, line.length, 0));
  } catch {
    return '';
  }
}

/** The kernel's number of the calling thread; 0 where /proc does not say. */
export function ownThread(): number {
  try {
    // "42/task/43"
    const link = readlinkSync('/proc/thread-self');
    return Number(link.slice(link.lastIndexOf('/') + 1)) || 0;
  } catch {
    return 0;
  }
}

/** Whether a thread of this process, by its ownThread(), is known to have ended. */
export function hasThreadEnded(thread: number): boolean {
  return thread !== 0 && !existsSync(`/proc/self/task/${thread}`);
}
