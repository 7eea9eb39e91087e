// Names for local sockets: files in a folder of the test's own, or named pipes.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

let names = 0;

/** A name that nobody has; its folder goes with the test. */
export function localPath(): string {
  const name = `overlapped-${process.pid}-${names++}`;
  if (process.platform === 'win32') return `\\\\.\\pipe\\${name}`;
  const folder = mkdtempSync(join(tmpdir(), 'overlapped-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'a.sock');
}
