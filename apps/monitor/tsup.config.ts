// What is built: the monitor, its page for the browser, and what takes the picture in docs/.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

const { dts, ...built } = options({
  index: 'src/index.ts',
  'page/main': 'page/main.ts',
  screenshot: 'test/screenshot.ts',
});

export default defineConfig({
  ...built,
  dts: { ...(dts as object), entry: { index: 'src/index.ts' } },
  external: ['playwright-core', /^@overlapped/],
});
