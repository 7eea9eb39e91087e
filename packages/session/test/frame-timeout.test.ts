// The time that a frame has: on virtual time, so that patience costs nothing. timeouts.test.ts has it on each backend.

import { createSimulation } from '@overlapped/iocp-native/testing';
import { IocpCore } from '@overlapped/net-core';
import { expect, onTestFinished, test } from 'vitest';
import { framed, Listener, lines, type Session, type SessionKind, type Timeouts } from '../src/index.js';

const HOUR = 3_600_000;

/** What became of a session. */
interface Fate {
  frames: number;
  error?: Error | undefined;
  ended?: number;
}

/** A session of lines, or of bytes; and what writes to it, and then lets time pass. */
async function open(timeouts: Timeouts, kind: 'lines' | 'bytes' = 'lines') {
  const simulation = createSimulation({ seed: 1 });
  const core = new IocpCore({ system: simulation, maxSessions: 1 });
  onTestFinished(async () => {
    await Promise.all([core.stop(), simulation.run()]);
  });
  const fate: Fate = { frames: 0 };
  const now = () => simulation.clock.now();
  const onDisconnected = (_: Session, error?: Error) => Object.assign(fate, { error, ended: now() });
  const ofFrames = () => framed(lines(), { onPacket: () => fate.frames++, onDisconnected });
  const session: SessionKind = kind === 'lines' ? ofFrames() : { onReceive() {}, onDisconnected };
  const listener = await Listener.listen(core, { host: '127.0.0.1', port: 0, session, timeouts });
  const peer = simulation.connect(listener.endpoint);
  await simulation.until(() => listener.sessions.size === 1);
  const write = async (text: string, milliseconds: number): Promise<void> => {
    if (peer.writable) peer.write(text);
    await simulation.run(milliseconds);
  };
  return { session: [...listener.sessions][0]!, fate, now, write };
}

test('a frame that is not whole in time ends its session, however often a byte comes', async () => {
  const { fate, now, write } = await open({ read: 100, frame: 1000 });
  await write('whole\n', 50);
  const begun = now();
  for (let i = 0; i < 200; i++) await write('x', 10);
  expect(fate.frames).toBe(1);
  expect(fate.error).toMatchObject({ name: 'IocpError', code: 'ETIMEDOUT', syscall: 'receive' });
  expect(fate.error!.message).toContain('Cannot keep the connection: a frame was not whole within 1000 ms');
  // Never early, and late by up to a quarter of the shortest.
  expect(fate.ended! - begun).toBeGreaterThanOrEqual(1000);
  expect(fate.ended! - begun).toBeLessThan(1000 + 100 / 4 + 1);
});

test('each frame has its own time, though there is always one that is not whole', async () => {
  const { session, fate, write } = await open({ frame: 1000 });
  for (let i = 0; i < 100; i++) await write('\nthe next', 900);
  expect(fate.frames).toBe(100);
  expect(session.writable).toBe(true);
});

test('the time between frames does not count', async () => {
  const { session, fate, write } = await open({ frame: 1000 });
  for (let i = 0; i < 3; i++) {
    await write('in ', 900);
    await write('parts\n', HOUR);
  }
  expect(fate.frames).toBe(3);
  expect(session.writable).toBe(true);
});

test('the time in which nothing is received does not count; what was before it does', async () => {
  const { session, fate, write } = await open({ frame: 1000 });
  await write('x', 500);
  session.pause();
  await write('x', HOUR);
  session.resume();
  await write('x', 300);
  expect(session.writable).toBe(true);
  await write('x', 700);
  expect(fate.error).toMatchObject({ code: 'ETIMEDOUT' });
});

test('what is no session of frames has none', async () => {
  const { session, write } = await open({ frame: 1000 }, 'bytes');
  for (let i = 0; i < 100; i++) await write('x', 100);
  expect(session.writable).toBe(true);
});

test('the other timeouts go by virtual time, too', async () => {
  const { session, fate, write } = await open({ firstByte: 1000, read: HOUR }, 'bytes');
  await write('x', HOUR);
  expect(session.writable).toBe(true);
  await write('', HOUR / 4);
  expect(fate.error!.message).toContain(`nothing was received for ${HOUR} ms`);
});
