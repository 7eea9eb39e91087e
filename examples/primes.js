// The jobs of jobs.js. Each thread of the pool loads this module; its exported functions are the jobs.

import { jobSignal } from '@overlapped/jobs';

/** @param {number} below */
export function countPrimes(below) {
  if (!Number.isInteger(below) || below < 0 || below > 1e8) throw new RangeError('a whole number up to 100000000');
  const signal = jobSignal(); // aborted by the signal that run() was given
  const composite = new Uint8Array(below);
  let count = 0;
  for (let n = 2; n < below; n++) {
    if (n % 65_536 === 0) signal.throwIfAborted();
    if (composite[n]) continue;
    count++;
    for (let multiple = n * n; multiple < below; multiple += n) composite[multiple] = 1;
  }
  return count;
}
