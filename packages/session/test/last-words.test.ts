// What is sent right before process.exit(): the kernel is given it, as with node:net, whose write() does so at once.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { onEachBackend } from './support.js';
import { connect, isNative, serve } from './threads.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));

/** Starts a program that prints the port where it listens, and that exits by itself. */
async function start(options: string, program: string): Promise<number> {
  const script = `
    import { IocpCore } from '@overlapped/net-core';
    import { DatagramSession, Listener } from '@overlapped/session';
    const core = new IocpCore({ threads: 0, ${options} });
    const LOCAL = { host: '127.0.0.1', port: 0 };
    ${program}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: PACKAGE,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return Number(String((await once(child.stdout, 'data'))[0]));
}

/** All that a peer hears that says one thing. */
function hear(port: number): Promise<string> {
  return new Promise((resolve) => {
    const peer = net.connect(port, '127.0.0.1');
    let heard = '';
    peer.on('data', (data) => {
      heard += data;
    });
    peer.on('error', () => {});
    peer.once('close', () => resolve(heard));
    peer.write('x');
  });
}

const listening = (session: string) =>
  `console.log((await Listener.listen(core, { ...LOCAL, session: ${session} })).endpoint.port);`;

onEachBackend((backend) => {
  const pumps: [string, string][] = [
    ['a guest of the loop', `backend: '${backend}'`],
    ...(isNative(backend) ? [['dedicated', `backend: '${backend}', dedicated: true`] as [string, string]] : []),
  ];
  const cases: Record<string, string> = {
    'send() in a handler': listening(`{ onReceive: (s) => { s.send('going down'); process.exit(); } }`),
    'send() from a timer': listening(
      `{ onReceive: (s) => setTimeout(() => { s.send('going '); s.send('down'); process.exit(); }, 1) }`,
    ),
    'end() in a handler': listening(`{ onReceive: (s) => { s.end('going down'); process.exit(); } }`),
    'write() of a stream': listening(
      `{ onConnected: (s) => { s.toDuplex().on('data', () => { s.toDuplex().write('going down'); process.exit(); }); } }`,
    ),
    'an uncaught exception': listening(
      `{ onReceive: (s) => { s.send('going down'); process.exitCode = 0; process.on('uncaughtException', () => process.exit()); process.nextTick(() => { throw new Error(); }); } }`,
    ),
    'in a flush': listening(
      `{ onReceive: (s) => { if (!s.sent) { s.sent = true; s.send(new Uint8Array(300_000)); } }, onDrain: (s) => { s.send('going down'); process.exit(); } }`,
    ),
  };
  for (const [pump, options] of pumps) {
    test.each(Object.entries(cases))(`${pump}: %s reaches the peer`, async (_, program) => {
      const heard = await hear(await start(options, program));
      expect(heard.replaceAll('\0', '')).toBe('going down');
    });
  }

  test('so does what more than one operation takes, on portable what one takes', async () => {
    const length = isNative(backend) ? 150_000 : 60_000;
    const program = listening(`{ onReceive: (s) => { s.send('x'.repeat(${length})); process.exit(); } }`);
    expect((await hear(await start(`backend: '${backend}'`, program))).length).toBe(length);
  });

  test('a datagram that was sent right before the exit arrives', async () => {
    const port = await start(
      `backend: '${backend}'`,
      `console.log((await DatagramSession.bind(core, { ...LOCAL, session: {
        onMessage: (s, _, from) => { s.send('going down', from); process.exit(); } } })).local.port);`,
    );
    const peer = createSocket('udp4');
    onTestFinished(() => void peer.close());
    peer.send('x', port, '127.0.0.1');
    expect(String((await once(peer, 'message'))[0])).toBe('going down');
  });

  // Its sockets do not move to other threads.
  test.skipIf(!isNative(backend))('a thread that exits sends what its sessions said last', async () => {
    const module = new URL('./modules/last-words.js', import.meta.url);
    const { core, port, nextLoss } = await serve({ backend }, { module });
    const [client] = await connect(port, 1);
    const lost = nextLoss();
    expect(await client!.ask('x')).toBe('going down');
    await lost;
    // The thread in its place loads its modules, which may take longer than the grace of serve().
    await core.stop(30_000);
  });
});
