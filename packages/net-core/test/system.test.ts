// A core on a simulation: its packets, its turns and its timers go by virtual time.

import { createSimulation } from '@overlapped/iocp-native/testing';
import { expect, test } from 'vitest';
import { Core } from '../src/core.js';
import { IocpCore, Timer } from '../src/index.js';
import { onFlush } from '../src/owners.js';

test('timers and posts follow virtual time', async () => {
  const simulation = createSimulation({ seed: 1 });
  const { clock } = simulation;
  const core = new Core({ system: simulation, maxSessions: 1 });
  const seen: string[] = [];
  const hour = 3_600_000;
  core.timers.set(new Timer(() => seen.push(`timer at ${clock.now()}`)), hour);
  core.post({ onPost: (text: string) => seen.push(`${text} by ${clock.now() < 1}`) }, 'posted');
  await simulation.run(1);
  expect(seen).toEqual(['posted by true']);
  await simulation.run(hour);
  expect(seen).toEqual(['posted by true', `timer at ${hour}`]);
  expect(core.timers.late).toBe(0);
  await core.stop();
});

test('what is put off to the end of the batch is done in a turn of virtual time', async () => {
  const simulation = createSimulation({ seed: 1 });
  const core = new Core({ system: simulation, maxSessions: 1 });
  let flushed = 0;
  core.flushSoon({ [onFlush]: () => flushed++ });
  await new Promise(setImmediate);
  expect(flushed).toBe(0);
  await simulation.run();
  expect(flushed).toBe(1);
  await core.stop();
});

test('a simulation has no threads, and nothing waits in its dequeue()', () => {
  const system = createSimulation({ seed: 1 });
  expect(() => new IocpCore({ system, dedicated: true })).toThrow(expect.objectContaining({ code: 'ENOTSUP' }));
  expect(new IocpCore({ system, threads: 4 }).threads).toBe(0);
});
