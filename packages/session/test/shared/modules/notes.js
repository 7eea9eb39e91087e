// Memory that the test has, too (script.ts): sessions note numbers there.

import { getEnvironmentData } from 'node:worker_threads';

const LENGTH = 2;
const LOG = 3;

/** The number that stands for a session's end with an error of a code. */
export const ENDS = { none: -100, ECHILD: -101, EMSGSIZE: -104, EPROTO: -105, ENOBUFS: -106, ETIMEDOUT: -107 };

/** That of the newest test: a module on the core's own thread is loaded once for all of them. */
export function memory() {
  return new Int32Array(getEnvironmentData('overlapped:shared-test'));
}

export function note(number) {
  const notes = memory();
  const at = Atomics.add(notes, LENGTH, 1);
  Atomics.store(notes, LOG + at, number);
  Atomics.notify(notes, LOG + at);
}

export function noteEnd(error) {
  note(ENDS[error === undefined ? 'none' : error.code] ?? -103);
}
