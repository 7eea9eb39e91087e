// What is built: the package's entry, and that of the threads it starts.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(options({ index: 'src/index.ts', 'job-thread': 'src/thread.ts' }));
