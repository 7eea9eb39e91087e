// The ledger over its built files: its answers, payments of many clients at once, and a payment that blocks its thread.

import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'libsql';
import { afterAll, expect, onTestFinished, test } from 'vitest';

const { startLedger } = (await import(
  new URL('../dist/server.js', import.meta.url).href
)) as typeof import('../src/server.js');

// One server for all tests: where there is no shared port, this process loads the session, which opens one file.
const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
const file = join(folder, 'test.sqlite');
const server = await startLedger({ host: '127.0.0.1', port: 0, file, concurrency: 2 });

afterAll(async () => {
  await server.core.stop();
  rmSync(folder, { recursive: true });
});

/** A client that says a line and has the next answer. */
function client(): { say(text: string): void; answer(): Promise<string> } {
  const socket = connect(server.listener.endpoint.port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  const lines = createInterface(socket)[Symbol.asyncIterator]();
  return {
    say: (text) => void socket.write(text),
    answer: async () => (await lines.next()).value,
  };
}

test('a client has an answer for each line, however the lines are cut', async () => {
  const { say, answer } = client();
  const asked = [
    'PING',
    'PAY ann bob 30',
    'BALANCE ann',
    'BALANCE bob',
    'BALANCE eve',
    'PAY ann bob -1',
    'SELL',
    'LINES',
  ];
  const all = `${asked.join('\n')}\n`;
  for (let at = 0; at < all.length; at += 7) {
    say(all.slice(at, at + 7));
    await new Promise(setImmediate);
  }
  const answers: string[] = [];
  for (const _ of asked) answers.push(await answer());
  expect(answers).toEqual([
    ...['PONG', 'OK', '-30', '30', '0'],
    'ERROR an amount is a whole number from 1 to 999999999',
    'ERROR say PING, LINES, BALANCE name, or PAY from to amount',
    '8',
  ]);
  say('x'.repeat(201));
  expect(await answer()).toBe('ERROR the line is too long');
});

test('payments of many clients at once all count', async () => {
  const names = ['north', 'east', 'south', 'west'];
  const payments = 20;
  await Promise.all(
    names.map(async (name, index) => {
      const { say, answer } = client();
      for (let i = 0; i < payments; i++) {
        say(`PAY ${name} ${names[(index + 1) % names.length]} ${index + 1}\n`);
        expect(await answer()).toBe('OK');
      }
    }),
  );
  const { say, answer } = client();
  say(names.map((name) => `BALANCE ${name}\n`).join(''));
  const balances = [await answer(), await answer(), await answer(), await answer()].map(Number);
  // Each pays one more than the one before, and is paid by that.
  expect(balances).toEqual([3 * payments, -payments, -payments, -payments]);
});

test('while a payment waits in SQLite, other clients are served', async (context) => {
  // On the core's own thread, which is this one, it would block the test that has to end its wait.
  if (server.listener.threads === 0) context.skip('no shared port here');
  const other = new Database(file);
  onTestFinished(() => void other.close());
  other.exec('BEGIN IMMEDIATE');
  const paying = [client(), client()];
  for (const { say } of paying) say('PAY cat dan 5\n');
  const { say, answer } = client();
  for (let i = 0; i < 100; i++) {
    say('PING\nBALANCE dan\n');
    expect([await answer(), await answer()]).toEqual(['PONG', '0']);
  }
  other.exec('COMMIT');
  for (const { answer } of paying) expect(await answer()).toBe('OK');
  say('BALANCE dan\n');
  expect(await answer()).toBe('10');
});

test('a server on a port that is taken leaves nothing open', async () => {
  const { port } = server.listener.endpoint;
  await expect(startLedger({ host: '127.0.0.1', port, file, concurrency: 1 })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
});
