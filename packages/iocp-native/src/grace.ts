// The grace of a stop: how long it waits for sessions and jobs that have begun.

/** Milliseconds. */
export const DEFAULT_GRACE = 5000;
/** The longest time that setTimeout() can wait; it takes longer ones for 1 ms. */
const LONGEST = 2 ** 31 - 1;

/** Throws a RangeError for a value that is no grace, before anything has ended for it. */
export function checkGrace(grace: number): void {
  if (Number.isFinite(grace) && grace >= 0 && grace <= LONGEST) return;
  const given = typeof grace === 'number' ? grace : typeof grace;
  throw new RangeError(`grace must be a number of milliseconds from 0 to ${LONGEST}, not ${given}`);
}
