// What valgrind says of a server's memory. It sees what the process itself does, with a V8 that compiles nothing; what the
// kernel writes, the guards of debug mode watch. Ten to forty seconds for each run, and several times that beside other work:
// where everything is required, and in the long form.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { backends, LONG, onLinux, testUnless, whyNot } from './support.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const watch = ['-q', '--smc-check=all-non-file', '--error-exitcode=9', `--suppressions=${at('fixtures/known.supp')}`];
const node = [process.execPath, '--jitless', '--single-threaded', at('fixtures/watched.mjs')];
const run = promisify(execFile);

const PATIENCE = 600_000;

function underValgrind() {
  const required = process.env.OVERLAPPED_REQUIRE === 'all';
  const reason = required ? undefined : LONG ? whyNot('valgrind', '--version') : 'only in the long form';

  for (const backend of backends) {
    testUnless(reason, `${backend}: an echo reads and writes nothing that it should not`, async () => {
      const { stderr } = await run('valgrind', [...watch, ...node, backend]);
      expect(stderr).not.toContain('==');
    });
  }

  testUnless(reason, 'shared sessions read and write nothing that they should not', async () => {
    const { stderr } = await run('valgrind', [...watch, ...node, 'epoll', '--shared']);
    expect(stderr).not.toContain('==');
  });

  testUnless(reason, 'a write past the end of a block is found', async () => {
    const planted = run('valgrind', [...watch, ...node, 'portable', '--plant']);
    await expect(planted).rejects.toMatchObject({ code: 9, stderr: expect.stringContaining('Invalid write') });
  });
}

onLinux('under valgrind', underValgrind, PATIENCE);
