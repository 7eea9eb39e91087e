// The program that stops the processes of a command, as CONTRIBUTING.md tells of it.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../../scripts/stop-and-go.mjs', import.meta.url));

// It reads /proc.
test.runIf(process.platform === 'linux')('stops a command, lets it go on, and ends with its exit code', () => {
  const code = 'setTimeout(() => process.exit(3), 3000)';
  const { status, stdout } = spawnSync(process.execPath, [program, '7', process.execPath, '-e', code], {
    encoding: 'utf8',
  });
  expect([status, stdout]).toEqual([3, expect.stringMatching(/^seed 7: [1-9]\d* stops; exit code 3\n$/)]);
});
