// Each server that others are measured against, for a moment: every byte comes back, and its CPU time is known. A rival
// that cannot serve here is skipped, and its title says why.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { whyNoLoad } from '../src/load/load.js';
import { whyNoTls } from '../src/load/tls.js';
import { Agent } from '../src/measured/agent.js';
import { bun, epoll, epollTls, liburing, type Rival, RivalServer, whyNot } from '../src/measured/rivals.js';
import { type Server, withServers } from '../src/measured/server.js';
import { overTls, underLoad } from '../src/measuring/measures.js';
import { connectTls, expectEcho, expectLateEcho } from './support.js';

const reason = whyNoLoad();
const rivals = await Promise.all(
  [liburing, epoll, bun].map(async (rival) => ({ rival, reason: reason ?? (await whyNot(rival)), secured: false })),
);
const secure = await epollTls();
rivals.push({ rival: secure, reason: whyNoTls() ?? (await whyNot(secure)), secured: true });

describe.each(rivals)('$rival.by', ({ rival, reason, secured }) => {
  test.skipIf(reason)(`echoes, and its CPU time grows${reason ? ` (${reason})` : ''}`, () =>
    expectToServe(() => RivalServer.start(rival), secured),
  );

  test.skipIf(reason)(`keeps what a client does not read yet${reason ? ` (${reason})` : ''}`, () =>
    withServers([() => RivalServer.start(rival)], ([server]) =>
      expectLateEcho(server!.port, secured ? connectTls : connect),
    ),
  );

  test.skipIf(reason)(`ends when its stdin does, and on SIGTERM${reason ? ` (${reason})` : ''}`, async () => {
    const [program, ...args] = rival.command();
    for (const end of ['stdin', 'SIGTERM'] as const) {
      const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      const exit = once(child, 'exit');
      await once(createInterface(child.stdout), 'line');
      if (end === 'stdin') child.stdin.end();
      else child.kill(end);
      expect(await exit).toEqual(end === 'stdin' ? [0, null] : [null, 'SIGTERM']);
    }
  });
});

test.skipIf(reason)(`node:net echoes${reason ? ` (${reason})` : ''}`, () =>
  expectToServe(() => Agent.start('node-net', 'echo')),
);

describe.each(['echo', 'burn'] as const)('the dedicated server: %s', (behaviour) => {
  test.skipIf(reason).each([1, 2])(`echoes with threads: %i${reason ? ` (${reason})` : ''}`, (threads) =>
    expectToServe(() => Agent.start('dedicated', behaviour, threads)),
  );
});

test('a rival that cannot serve says why', async () => {
  const missing: Rival = {
    by: 'missing',
    command() {
      throw new Error('it is not there');
    },
  };
  expect(await whyNot(missing)).toBe('it is not there');
  const mute: Rival = { by: 'mute', command: () => [process.execPath, '-e', 'process.exit(3)'] };
  expect(await whyNot(mute)).toBe('it ended at once (3)');
  expect(await whyNot({ by: 'nowhere', command: () => ['./no-such-program'] })).toContain('ENOENT');
});

function expectToServe(start: () => Promise<Server>, secured = false): Promise<void> {
  return withServers([start], async ([server]) => {
    await expectEcho(server!.port, secured ? connectTls : connect);
    const before = await server!.cpu();
    const { rate, cpu } = await (secured ? overTls('echo', 5, 64, 0.1) : underLoad('echo', 5, 0.1))(server!);
    expect([rate > 0, cpu > 0, (await server!.memory()) > 0]).toEqual([true, true, true]);
    expect(await server!.cpu()).toBeGreaterThan(before);
    await server!.stop();
    await expect(server!.cpu()).rejects.toThrow();
  });
}
