// Plays seeds, one after the other, in this thread. What an owner throws surfaces as an uncaught exception: it is caught here,
// and fails its seed.

import type { RunOptions } from './run.js';
import { Run } from './run.js';

/** A promise that one seed broke. */
export interface Failure {
  readonly seed: number;
  readonly error: unknown;
}

export async function play(seed: number, options: RunOptions = {}): Promise<Failure | null> {
  try {
    const run = new Run(seed, options);
    process.setUncaughtExceptionCaptureCallback((error) => run.fail(error));
    await run.play();
    return null;
  } catch (error) {
    return { seed, error };
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
  }
}
