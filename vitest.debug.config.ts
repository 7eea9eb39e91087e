// The tests once more, in debug mode: memory is poisoned and guarded (see docs/SAFETY.md).

import { mergeConfig } from 'vitest/config';
import config from './vitest.config.js';

export default mergeConfig(config, {
  test: {
    env: {
      OVERLAPPED_DEBUG: '1',
      // A stack for each acquire makes a seed three times as slow.
      OVERLAPPED_SWARM_SEEDS: process.env.OVERLAPPED_SWARM_SEEDS ?? '500',
    },
  },
});
