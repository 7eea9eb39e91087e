// What is built: the package, what its siblings need of it, and the raw functions of each platform.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(
  options({
    index: 'src/index.ts',
    internal: 'src/internal.ts',
    testing: 'src/testing/index.ts',
    win32: 'src/win32/index.ts',
    linux: 'src/linux/index.ts',
  }),
);
