// Plays seeds of the swarm of shared sessions, one after the other, in this thread.

import type { Failure } from '../play.js';
import { SharedRun, type SharedRunOptions } from './run.js';

export async function playShared(seed: number, options: SharedRunOptions = {}): Promise<Failure | null> {
  try {
    await new SharedRun(seed, options).play();
    return null;
  } catch (error) {
    return { seed, error };
  }
}
