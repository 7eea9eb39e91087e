// The command as its users run it: the built one, in a process of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../../vitest.ports.js';
import { CLI, Client, run, serve, startCommand, ways } from './support.js';

/** Windows has no signals that another process could send: kill() just terminates it. */
const noSignals = process.platform === 'win32';

describe('the command', { timeout: 60_000 }, () => {
  test.each(ways)('a client that takes nothing for too long is cut off: %j', async ({ backend, threads }) => {
    const { port } = await serve('--patience', '1', '--backend', backend, '--threads', String(threads));
    const [slow, ann] = [await Client.connect(port, 'slow'), await Client.connect(port, 'ann')];
    // On the thread of the slow one: a client that runs ahead of a thread is refused ("too busy").
    const bob = await Client.connect(port, 'bob');
    const text = 'x'.repeat(1900);
    const hearAll = async (client: Client) => {
      for (let heard = 0; heard < 50; ) if ((await client.hear()) === `ann: ${text}`) heard++;
    };
    let over = false;
    slow.closed.then(() => {
      over = true;
    });
    while (!over) {
      for (let i = 0; i < 50; i++) ann.say(text);
      await Promise.all([hearAll(ann), hearAll(bob)]);
      // A socket that is not read finds out when it writes.
      slow.say('x');
      // Its queue stays full, and the machine is not kept busy meanwhile.
      await sleep(5);
    }
  });

  test('two terminals', async () => {
    const { line, port } = await serve('--backend', 'portable');
    expect(line).toBe(`chat on 127.0.0.1:${port}, portable, main thread (SIGINT stops)`);
    const bob = startCommand('join', 'garden', '--name', 'bob', '--port', String(port));
    expect(await bob.nextLine()).toBe('(you are in garden)');
    const ann = await run(['join', 'garden', '--name', 'ann', '--port', String(port)], 'hello\n\nbye \x1b[2J\n');
    expect(ann.stdout).toBe('(you are in garden)\nann: hello\nann: bye  [2J\n');
    expect([ann.code, ann.stderr]).toEqual([0, '']);
    expect(await bob.nextLine()).toBe('(ann has entered)');
    expect(await bob.nextLine()).toBe('ann: hello');
    // Characters that would move the cursor do not.
    expect(await bob.nextLine()).toBe('ann: bye  [2J');
    expect(await bob.nextLine()).toBe('(ann has left)');
    bob.child.stdin!.end('me too\n');
    expect(await bob.nextLine()).toBe('bob: me too');
    expect(await bob.exited).toBe(0);
  });

  test('a terminal shows the messages of any server in lines that change nothing else, and goes on', async () => {
    const rlo = '\u202e';
    const said: [notice: unknown, shown: string][] = [
      [{ type: 'said', name: 'ann', text: `a${rlo}b\u2066c\u200bd\u2028e\u{e0041}f\u061cg\x9bh` }, 'ann: abcd efg h'],
      [{ type: 'said', name: `${rlo}nna`, text: 'x' }, 'nna: x'],
      [{ type: 'said', name: { toString: 1 }, text: { toString: 1 } }, ': '],
      [`{"type":"refused","reason":${'['.repeat(7000)}${']'.repeat(7000)}}`, '(refused: )'],
      [{ type: { toString: 1 } }, '(the server sent a message that this client does not know)'],
      [null, '(the server sent a message that this client does not know)'],
      [{ type: 'entered', name: `${rlo}eve` }, '(eve has entered)'],
      [{ type: 'left', name: 7 }, '( has left)'],
      [{ type: 'joined', room: `e${rlo}nd` }, '(you are in end)'],
    ];
    const server = createServer((socket) => {
      socket.on('error', () => {}).resume();
      for (const [notice] of said) {
        const body = Buffer.from(typeof notice === 'string' ? notice : JSON.stringify(notice));
        socket.write(Buffer.from([body.length >> 8, body.length & 0xff]));
        socket.write(body);
      }
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { nextLine, complaints, child, exited } = startCommand('join', 'garden', '--port', String(port));
    for (const [, shown] of said) expect(await nextLine()).toBe(shown);
    child.stdin!.end();
    expect([await exited, complaints()]).toEqual([0, '']);
  });

  // A terminal by script(1) of util-linux, whose options other systems do not have.
  test.skipIf(process.platform !== 'linux')(
    'in a terminal, a line that was typed over several rows is cleared',
    async () => {
      const { port } = await serve('--backend', 'portable');
      const command = `stty cols 20 rows 24 -echo; exec node ${CLI} join garden --name ann --port ${port}`;
      const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
      const exited = once(terminal, 'exit');
      onTestFinished(() => void terminal.kill('SIGKILL'));
      let screen = '';
      terminal.stdout.on('data', (data) => {
        screen += data;
      });
      await expect.poll(() => screen, { timeout: 30_000 }).toContain('you are in garden');
      // 50 columns are three rows of 20: the cursor goes back over all of them.
      terminal.stdin.write(`${'x'.repeat(50)}\r`);
      await expect.poll(() => screen, { timeout: 30_000 }).toContain(`ann: ${'x'.repeat(50)}`);
      expect(screen).toContain('\x1b[3A\x1b[0J');
      // A half-typed line takes two rows. A message arrives: it is shown from the start of the first of them.
      terminal.stdin.write(`${'y'.repeat(29)}z`);
      await expect.poll(() => screen, { timeout: 30_000 }).toContain('z');
      screen = '';
      const bob = await Client.connect(port, 'bob', 'garden');
      // The half-typed line is drawn again below the message.
      await expect.poll(() => screen, { timeout: 30_000 }).toMatch(/\(bob has entered\)[^z]*z/);
      screen = '';
      bob.say('hello');
      await expect.poll(() => screen, { timeout: 30_000 }).toContain('bob: hello');
      expect(screen.startsWith('\x1b[1A\x1b[1G\x1b[0Jbob: hello')).toBe(true);
      // Ctrl-C: the cursor goes below the half-typed line, where the shell prints its prompt.
      screen = '';
      terminal.stdin.write('\x03');
      expect(await exited).toEqual([0, null]);
      expect(screen.endsWith('\n')).toBe(true);
    },
  );

  // Windows has no signals to send.
  test.skipIf(noSignals)('a signal ends the server in order, and its clients say why they end', async () => {
    const { child, exited, port } = await serve('--threads', '2');
    const client = startCommand('join', 'garden', '--port', String(port));
    expect(await client.nextLine()).toBe('(you are in garden)');
    child.kill('SIGINT');
    expect(await client.exited).toBe(1);
    expect(client.complaints()).toMatch(/^error: Cannot stay in the room: the server ended the connection .*\n$/);
    expect(await exited).toBe(0);
  });

  test.each([
    [['--port', 'abc'], /whole number from 0 to 65535/],
    [['--threads', '257'], /whole number from 0 to 256/],
    [['--redis', '127.0.0.1:6379'], /It must be like redis:\/\/127\.0\.0\.1:6379/],
    [['--host', '203.0.113.1'], /Cannot listen on 203\.0\.113\.1:7788: .*\(EADDRNOTAVAIL/],
    [['join'], /missing required argument 'room'/],
    [['join', 'a room'], /1 to 32 letters/],
    [['join', 'garden', '--name', ''], /1 to 32 letters/],
    [['join', 'garden', '--name', '\u3164'], /1 to 32 letters/],
  ])('%j is one line', async (args, message) => {
    const { code, stderr, stdout } = await run(args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^error: .*\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });

  test('a server that is not there is one line', async () => {
    const { code, stderr } = await run(['join', 'garden', '--port', String(await freePort())]);
    expect(stderr).toMatch(/^error: Cannot connect to 127\.0\.0\.1:\d+: .*\(ECONNREFUSED, \w+\)\n$/);
    expect(code).toBe(1);
  });
});
