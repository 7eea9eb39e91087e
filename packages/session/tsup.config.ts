// What is built: the package's entry, and what worker threads load.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(
  options({
    index: 'src/index.ts',
    'worker-entry': 'src/accept/worker-entry.ts',
    'shared-entry': 'src/shared/shared-entry.ts',
  }),
);
