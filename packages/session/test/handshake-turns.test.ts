// HandshakeTurns: how many TLS handshakes of a listener are under way at a time.

import { once } from 'node:events';
import net from 'node:net';
import { expect, test } from 'vitest';
import { Listener, Session } from '../src/index.js';
import { TlsContext } from '../src/tls/context.js';
import { TlsEngine } from '../src/tls/engine.js';
import { HandshakeTurns } from '../src/tls/handshake-turns.js';
import { makeCertificates } from './certificates.js';
import { withClock } from './clock.js';
import { onEveryBackend } from './support.js';

const MOST = 64;

/** Handshakes by number, and those that have begun. */
class Rig {
  readonly begun: number[] = [];
  readonly takers: { onTurn: () => void }[] = [];

  /** `count` more handshakes ask for their turn. */
  enter(turns: HandshakeTurns, count: number): void {
    for (let i = 0; i < count; i++) {
      const number = this.takers.length;
      const taker = { onTurn: () => void this.begun.push(number) };
      this.takers.push(taker);
      if (turns.enter(taker)) this.begun.push(number);
    }
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

test('handshakes begin in order, when others are over', () =>
  withClock('portable', async (core) => {
    const turns = new HandshakeTurns(core.timers);
    const rig = new Rig();
    rig.enter(turns, MOST + 3);
    expect(rig.begun).toEqual(numbers(MOST));
    turns.leave(rig.takers[5]!);
    expect(rig.begun).toEqual(numbers(MOST + 1));
    // One that waits is over.
    turns.leave(rig.takers[MOST + 1]!);
    turns.leave(rig.takers[5]!);
    expect(rig.begun).toHaveLength(MOST + 1);
    turns.leave(rig.takers[6]!);
    expect(rig.begun.at(-1)).toBe(MOST + 2);
    expect(core.timers.size).toBe(0);
  }));

test('handshakes that are not over do not count for ever', () =>
  withClock('portable', async (core, hand) => {
    const turns = new HandshakeTurns(core.timers);
    const rig = new Rig();
    rig.enter(turns, MOST);
    hand.pass(30);
    turns.leave(rig.takers[0]!);
    rig.enter(turns, MOST + 2);
    expect(rig.begun).toHaveLength(MOST + 1);
    hand.pass(19);
    expect(rig.begun).toHaveLength(MOST + 1);
    hand.pass(1);
    expect(rig.begun).toHaveLength(2 * MOST);
    // The one that took the place of the first.
    hand.pass(30);
    expect(rig.begun).toHaveLength(2 * MOST + 1);
    hand.pass(20);
    expect(rig.begun).toEqual(numbers(2 * MOST + 2));
    expect(core.timers.size).toBe(0);
  }));

test('many handshakes that fail at once begin one after the other', () =>
  withClock('portable', async (core) => {
    const turns = new HandshakeTurns(core.timers);
    const rig = new Rig();
    rig.enter(turns, MOST);
    let failed = 0;
    for (let i = 0; i < 20_000; i++) {
      const taker = {
        onTurn: () => {
          failed++;
          turns.leave(taker);
        },
      };
      turns.enter(taker);
    }
    expect(failed).toBe(0);
    turns.leave(rig.takers[0]!);
    expect(failed).toBe(20_000);
    expect(core.timers.size).toBe(0);
  }));

onEveryBackend((backend) => {
  test('a server goes on with waiting clients when others end or stay silent', async () => {
    const { a } = await makeCertificates();
    const context = TlsContext.forClient({ rejectUnauthorized: false });
    const engine = new TlsEngine(context);
    engine.handshake(null, []);
    const hello = engine.output!;
    engine.free();
    context.free();
    await withClock(backend, async (core, hand) => {
      const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, tls: a, session: Session });
      const answered = new Set<net.Socket>();
      let change = () => {};
      const until = async (count: number) => {
        while (answered.size < count) {
          await new Promise<void>((resolve) => {
            change = resolve;
          });
        }
        expect(answered.size).toBe(count);
      };
      const clients: net.Socket[] = [];
      try {
        for (let i = 0; i < MOST + 3; i++) {
          const client = net.connect(endpoint.port, '127.0.0.1');
          clients.push(client);
          client.on('error', () => {});
          client.once('data', () => {
            answered.add(client);
            change();
          });
          await once(client, 'connect');
          // The ClientHello comes in two packets: the second one while it waits.
          client.write(hello.subarray(0, 50));
          client.write(hello.subarray(50));
        }
        await until(MOST);
        const [first] = answered;
        first!.destroy();
        await until(MOST + 1);
        hand.pass(50);
        await until(MOST + 3);
      } finally {
        for (const client of clients) client.destroy();
      }
    });
  });
});
