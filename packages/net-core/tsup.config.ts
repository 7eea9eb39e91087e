// What is built: the package, what its siblings need of it, and the code of the threads it starts.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(
  options({ index: 'src/index.ts', internal: 'src/internal.ts', worker: 'src/workers/worker.ts' }),
);
