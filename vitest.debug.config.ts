// The tests once more, in debug mode: memory is poisoned and guarded (see docs/SAFETY.md). All of them, but for what stands here.

import { configDefaults, mergeConfig } from 'vitest/config';
import config from './vitest.config.js';

/** What opens a browser or asks Redis about replies is about bytes that are right; their servers' memory is tested by the rest. */
const exclude = ['**/page.test.ts', '**/differential.test.ts'];

export default mergeConfig(config, {
  test: {
    env: {
      OVERLAPPED_DEBUG: '1',
      // A stack for each acquire makes a seed three times as slow.
      OVERLAPPED_SWARM_SEEDS: process.env.OVERLAPPED_SWARM_SEEDS ?? '500',
    },
    exclude: [...configDefaults.exclude, ...exclude],
  },
});
