// Options of a core for this repository alone: the memory that a worker thread shares with its starter, and sizes for tests that
// run out of buffers.

import type { StatsBlock } from './stats.js';
import type { SharedMessages } from './workers/shared-messages.js';

interface Buffers {
  readonly count: number;
  readonly size: number;
}

export interface Internals {
  readonly statsBlock?: StatsBlock;
  readonly messages?: SharedMessages;
  readonly receiveBuffers?: Buffers;
  readonly sendBuffers?: Buffers;
}

// Sizes that are no multiple of a page's: the first bytes of different buffers compete for different cache lines.
export const RECEIVE_BUFFERS: Buffers = { count: 1024, size: 8192 + 64 };
export const SEND_BUFFERS: Buffers = { count: 1024, size: 16384 + 64 };
