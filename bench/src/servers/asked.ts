// What a message asks of a server, by its first byte, before it comes back: nothing, to sleep, or to compute.

import { createHash } from 'node:crypto';

export const SLEEP = 'Z';
export const PAUSE = 'P';
export const COMPUTE = 'C';

/** Milliseconds that the thread sleeps in the handler. */
const SLEEP_TIME = 100;
const PAUSE_TIME = 5;
/** What is hashed; it takes about 0.1 ms. */
const work = Buffer.alloc(128 * 1024, 'w');
const never = new Int32Array(new SharedArrayBuffer(4));
const [sleep, pause, compute] = [SLEEP, PAUSE, COMPUTE].map((letter) => letter.charCodeAt(0));

export function doAsAsked(message: Buffer): void {
  const [first] = message;
  if (first === sleep) Atomics.wait(never, 0, 0, SLEEP_TIME);
  else if (first === pause) Atomics.wait(never, 0, 0, PAUSE_TIME);
  else if (first === compute) createHash('sha256').update(work).digest();
}
