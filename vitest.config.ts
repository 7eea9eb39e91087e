// What every package's tests have in common: patience, and the seed of the properties. A test that waits for an event on
// a busy machine is not broken.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const setup = fileURLToPath(new URL('vitest.setup.ts', import.meta.url));
export default defineConfig({ test: { testTimeout: 60_000, hookTimeout: 60_000, setupFiles: [setup] } });
