// Every example of every README compiles, runs to its end by itself, and prints what it says.

import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compile, type Example, examplesOf, folderOf } from '../src/examples.js';
import { textFiles } from '../src/repository.js';

const LIMIT = 60_000;
/** An example of a backend itself needs that one. */
const OTHER_KERNEL = /iocp-native\/(?:linux|win32)'/;
const examples = examplesOf(textFiles());
const modules = examples.filter(({ language }) => language === 'ts');
const scripts = examples.filter(({ language }) => language === 'sh');
const compiled = compile(modules);

afterAll(() => {
  for (const { module } of compiled.values()) rmSync(dirname(module), { recursive: true, force: true });
});

describe.each(modules)('$readme:$line', (example) => {
  const { module, errors } = compiled.get(example)!;

  test('compiles', () => {
    expect(errors).toEqual([]);
  });

  test('runs', { timeout: LIMIT + 5000 }, () => {
    expectToRun(example, process.execPath, ['--enable-source-maps', module], dirname(module));
  });

  // What macOS has, and containers without io_uring.
  test.skipIf(OTHER_KERNEL.test(example.code))('runs on portable', { timeout: LIMIT + 5000 }, () => {
    const env = { ...process.env, OVERLAPPED_BACKEND: 'portable' };
    expectToRun(example, process.execPath, ['--enable-source-maps', module], dirname(module), env);
  });
});

// Windows has no shell that these would run in.
describe.skipIf(process.platform === 'win32').each(scripts)('$readme:$line', (example) => {
  test('runs', { timeout: LIMIT + 5000 }, () => {
    expectToRun(example, 'bash', ['-euo', 'pipefail', '-c', example.code], folderOf(example));
  });
});

function expectToRun(example: Example, command: string, args: readonly string[], cwd: string, env = process.env): void {
  const options = { cwd, env, timeout: LIMIT, killSignal: 'SIGKILL', encoding: 'utf8' } as const;
  const { status, signal, stdout, stderr } = spawnSync(command, args, options);
  const where = `${example.readme}:${example.line}`;
  expect(signal, `${where} did not end within ${LIMIT / 1000} s:\n${stdout}${stderr}`).toBe(null);
  expect(status, `${where} failed:\n${stdout}${stderr}`).toBe(0);
  for (const text of example.prints) expect(stdout).toContain(text);
}
