// Programs of others that tests run as peers, and folders for the files that these read.

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished, test } from 'vitest';

/** Limit of a program's time in milliseconds. */
const PATIENCE = 50_000;
const required = process.env.OVERLAPPED_REQUIRE === 'all' && process.platform === 'linux';

/** `test`, which is skipped where none of the programs is installed, unless all must be. */
export function testWith(...names: string[]): typeof test {
  // Where none is installed there is no peer.
  return test.runIf(required || names.some(isInstalled)) as typeof test;
}

/** The first of the programs that is installed. */
export function programOf(...names: string[]): string {
  return names.find(isInstalled) ?? names[0]!;
}

function isInstalled(name: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name]).status === 0;
}

/** A folder with files, until the test ends. */
export function folderWith(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'overlapped-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** Runs a program to its end, and gives its output. Rejects if it fails. */
export async function run(name: string, args: readonly string[], cwd?: string): Promise<string> {
  const { stdout } = await promisify(execFile)(name, args, { cwd, timeout: PATIENCE, maxBuffer: 1 << 26 });
  return stdout;
}

/** Starts a program, which ends with the test. */
export function start(name: string, args: readonly string[], cwd?: string): ChildProcess {
  const child = spawn(name, args, { cwd, timeout: PATIENCE });
  onTestFinished(() => void child.kill());
  return child;
}
