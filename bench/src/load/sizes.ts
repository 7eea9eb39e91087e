// The load generator for messages of any size and for streams: load/sizes.c, compiled at first use.

import { compiled } from '../compile.js';
import { type LoadResult, spawnLoad } from './load.js';

/** `echo` measures round trips; `pour` streams from the server to the clients, `sink` from the clients to the server. */
export type SizesMode = 'echo' | 'pour' | 'sink';

export interface SizesLoad {
  readonly mode: SizesMode;
  readonly port: number;
  readonly connections: number;
  /** Bytes of a message, or of a chunk of a stream. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface SizesResult extends LoadResult {
  /** Microseconds that half of the round trips, and 99 of 100, took at most; 0 for streams. */
  readonly p50: number;
  readonly p99: number;
}

export function runSizes({ mode, port, connections, bytes, seconds }: SizesLoad): Promise<SizesResult> {
  const args = [mode, port, connections, bytes, seconds].map(String);
  return spawnLoad<SizesResult>(compiled('load/sizes.c'), args, seconds);
}
