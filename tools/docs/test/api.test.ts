// Every public name is documented, and what it names is public, too: see src/api.mjs.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const API = fileURLToPath(new URL('../src/api.mjs', import.meta.url));

test('the pages of the API can be built', { timeout: 120_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [API, '--check'], { encoding: 'utf8' });
  expect(stdout + stderr).toBe('');
  expect(status).toBe(0);
});
