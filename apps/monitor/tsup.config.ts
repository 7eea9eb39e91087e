// The entries: the monitor, its page for the browser, and the program that takes the picture in docs/.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(
  options(
    { index: 'src/index.ts', 'page/main': 'page/main.ts', screenshot: 'test/screenshot.ts' },
    { external: ['playwright-core', /^@overlapped\/(?!support)/] },
  ),
);
