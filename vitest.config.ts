// What every package's tests have in common: patience. A test that waits for an event on a busy machine is not broken.

import { defineConfig } from 'vitest/config';

export default defineConfig({ test: { testTimeout: 60_000, hookTimeout: 60_000 } });
