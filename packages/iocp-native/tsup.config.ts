// What is built: the package, what goes from thread to thread, and the raw functions of each platform.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(
  options({
    index: 'src/index.ts',
    threads: 'src/threads.ts',
    debug: 'src/debug.ts',
    'typed-arrays': 'src/typed-arrays.ts',
    options: 'src/options.ts',
    testing: 'src/testing/index.ts',
    win32: 'src/win32/index.ts',
    linux: 'src/linux/index.ts',
  }),
);
