// Whether a thread has ended, as the kernel says: also in a call that holds up the event loop, which would tell it otherwise.

import { existsSync, readlinkSync } from 'node:fs';
import { ERROR_INVALID_PARAMETER, SYNCHRONIZE, WAIT_OBJECT_0 } from '../win32/constants.js';
import { CloseHandle, GetCurrentThreadId, GetLastError, OpenThread, WaitForSingleObject } from '../win32/kernel32.js';

const windows = process.platform === 'win32';

/** The kernel's number of the calling thread, in 32 bits; 0 where neither Windows nor /proc says. */
export function ownThread(): number {
  if (windows) return GetCurrentThreadId() | 0;
  try {
    // "42/task/43"
    const link = readlinkSync('/proc/thread-self');
    return Number(link.slice(link.lastIndexOf('/') + 1)) || 0;
  } catch {
    return 0;
  }
}

/** Whether a thread of this process, by its ownThread(), is known to have ended. A new thread may have its number. */
export function hasThreadEnded(thread: number): boolean {
  if (thread === 0) return false;
  return windows ? hasEnded(thread >>> 0) : !existsSync(`/proc/self/task/${thread}`);
}

/** Windows: a thread that has ended is signalled; its number names none once all its handles are closed. */
function hasEnded(thread: number): boolean {
  const handle = OpenThread(SYNCHRONIZE, 0, thread);
  if (handle === 0) return GetLastError() === ERROR_INVALID_PARAMETER;
  const ended = WaitForSingleObject(handle, 0) === WAIT_OBJECT_0;
  CloseHandle(handle);
  return ended;
}
