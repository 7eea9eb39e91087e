// All suites in one process, which loads what they share once: a quarter of their time. debug.test.ts alone has its own,
// as OVERLAPPED_DEBUG is read when the packages are loaded.

import { configDefaults, defineConfig, mergeConfig } from 'vitest/config';
import config from '../../vitest.config.js';

const debug = 'test/debug.test.ts';
const together = { name: 'together', isolate: false, exclude: [...configDefaults.exclude, debug] };

export default mergeConfig(
  config,
  defineConfig({
    test: {
      projects: [
        { extends: true, test: together },
        { extends: true, test: { name: 'debug', include: [debug] } },
      ],
    },
  }),
);
