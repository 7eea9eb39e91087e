// docs/DEPLOY.md and the files in deploy/: what they say of pnpm, of users without rights and of seccomp profiles is done here.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { root } from '../src/repository.js';

const dockerfile = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8');
const page = readFileSync(join(root, 'docs/DEPLOY.md'), 'utf8');
/** Only root may become another user, and only Linux has that user. */
const isRoot = process.platform === 'linux' && process.getuid?.() === 0;
const CALLS = ['io_uring_setup', 'io_uring_enter', 'io_uring_register'];

test('every file that the page names is there', () => {
  const named = [...page.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, path]) => path!);
  expect(named).toContain('deploy/Dockerfile');
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test('the Dockerfile has the version of pnpm that the repository has, and the command of the page', () => {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(dockerfile).toContain(`npm install --global ${packageManager}`);
  const [, command] = /^RUN (pnpm .* deploy .*)$/m.exec(dockerfile)!;
  expect(page).toContain(command);
});

// Another user can be had by root alone, on Linux.
test.runIf(isRoot)(
  'what pnpm deploys serves as a user without rights, from files that it cannot write, and stops at SIGTERM',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'deploy-'));
    try {
      const command = /^RUN pnpm (.* deploy .*) \/app$/m.exec(dockerfile)![1]!;
      const [deployed, app] = [join(folder, 'deployed'), join(folder, 'app')];
      execFileSync('npx', ['--yes', '--prefer-offline', 'pnpm@12.21.0', ...command.split(' '), deployed], {
        cwd: root,
        stdio: 'ignore',
      });
      // As COPY does: links are kept, and point into the folder.
      cpSync(deployed, app, { recursive: true, verbatimSymlinks: true });
      rmSync(deployed, { recursive: true });
      chmodSync(folder, 0o755);
      const server = spawn(process.execPath, [join(app, 'dist/cli.js'), 'serve', '--port', '0', '--threads', '2'], {
        uid: 65_534,
        gid: 65_534,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(server, 'exit');
      const [line] = await once(createInterface(server.stdout), 'line');
      const port = Number(/:(\d+),/.exec(line)![1]);
      const client = connect(port, '127.0.0.1');
      client.write('hello');
      expect(String((await once(client, 'data'))[0])).toBe('hello');
      server.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  120_000,
);

test('the health check ends with 0 where a server listens, and with 1 where none does', async () => {
  const [, code] = /HEALTHCHECK .* CMD \["node", "-e", "(.*)"\]$/m.exec(dockerfile)!;
  const { createServer } = await import('node:net');
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const check = () => once(spawn(process.execPath, ['-e', code!.replace('7777', String(port))]), 'exit');
  expect((await check())[0]).toBe(0);
  server.close();
  await once(server, 'close');
  expect((await check())[0]).toBe(1);
});

test('a seccomp profile gets one more rule, and keeps the others', () => {
  const profile = {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW' }],
  };
  const { status, stdout } = allow(JSON.stringify(profile));
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    ...profile,
    syscalls: [...profile.syscalls, { names: CALLS, action: 'SCMP_ACT_ALLOW' }],
  });
});

test.each([
  ['no JSON', '{', /no JSON/],
  ['no profile', '{}', /no list "syscalls"/],
  ['a profile that allows by default', '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}', /not SCMP_ACT_ERRNO/],
])('%s is refused, and nothing is written', (_reason, input, why) => {
  const { status, stdout, stderr } = allow(input);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(why);
});

function allow(input: string) {
  return spawnSync(process.execPath, [join(root, 'deploy/allow-io-uring.mjs')], { input, encoding: 'utf8' });
}
