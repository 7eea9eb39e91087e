// A game server over UDP with a fixed tick: clients send their positions; 20 times a second each gets those of all. Run
// `node examples/udp-tick.js`, then type `ann 1 2` into `nc -u 127.0.0.1 7004`.

import { DatagramSession, IocpCore, Timer } from '@overlapped/session';

const TICK = 50;
const SILENCE = 10_000;

/** @type {Map<string, { from: import('@overlapped/session').Endpoint, state: string, seen: number }>} */
const players = new Map();

const core = new IocpCore();
const socket = await DatagramSession.bind(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7004),
  session: {
    onMessage(_, data, from) {
      // `data` is borrowed, so it is copied into a string. `from` may be kept.
      const state = data.toString().trim().slice(0, 100);
      players.set(`${from.address}:${from.port}`, { from, state, seen: core.timers.now });
    },
  },
});
console.log(`udp on port ${socket.local.port}`);

let number = 0;
let due = core.timers.now;
// A timer runs once, and is set again. The next tick counts from when this one was due, so delays do not add up.
const tick = new Timer(() => {
  const now = core.timers.now;
  for (const [key, { seen }] of players) if (now - seen > SILENCE) players.delete(key);
  const states = Array.from(players.values(), ({ state }) => state);
  const message = Buffer.from(`tick ${++number}: ${states.join('; ')}\n`);
  // False when the message was dropped. The next tick has newer positions anyway.
  if (message.length <= 1400) for (const { from } of players.values()) socket.send(message, from);
  due = Math.max(due + TICK, now);
  core.timers.set(tick, due - now);
});
core.timers.set(tick, TICK);

process.once('SIGINT', () => {
  core.timers.clear(tick);
  core.stop();
});
