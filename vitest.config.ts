// What every package's tests have in common: patience, and the seed of the properties. A test that waits for an event on
// a busy machine is not broken. The suites of a package share a process, which loads what they need once; debug.test.ts
// alone has its own, as OVERLAPPED_DEBUG is read when the packages are loaded.

import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

const setup = fileURLToPath(new URL('vitest.setup.ts', import.meta.url));
const debug = 'test/debug.test.ts';
const together = { name: 'together', isolate: false, exclude: [...configDefaults.exclude, debug] };

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    setupFiles: [setup],
    projects: [
      { extends: true, test: together },
      { extends: true, test: { name: 'debug', include: [debug] } },
    ],
  },
});
