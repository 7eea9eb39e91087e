// The entries: the monitor, and its page for the browser.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(
  options({ index: 'src/index.ts', 'page/main': 'page/main.ts' }, { external: [/^@overlapped\/(?!support)/] }),
);
