// The types of block-pool.js.

import type * as raw from '../../src/win32/index.js';

export function blockPool(win32: typeof raw, count: number): () => void;
