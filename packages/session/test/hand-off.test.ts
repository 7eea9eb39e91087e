// Connections that a thread is handed while it stops: on the simulation, where a packet comes at the moment that a test means.

import { CompletionPacket, endpoint, Operation } from '@overlapped/iocp-native';
import { createSimulation } from '@overlapped/iocp-native/testing';
import { Core, onCompletion } from '@overlapped/net-core/internal';
import { expect, test } from 'vitest';
import { Session } from '../src/index.js';
import { Thread } from './swarm/thread.js';

const GRACE = 10;

test('a connection that comes when the time to end is over is cut off, too', async () => {
  // What is cut off at the end of the grace is over up to so many milliseconds later.
  const simulation = createSimulation({ seed: 1, faults: { completion: 50 } });
  const [main, core] = [new Core({ system: simulation }), new Core({ system: simulation })];
  const thread = new Thread(main, core, class extends Session {});
  const service = await thread.host('', {});

  const acceptor = simulation.openPort();
  const listener = await acceptor.listen(endpoint('127.0.0.1', 0), { detached: true });
  const events = [1, 2].map(() => main.listenerEvents.acquire({ [onCompletion]() {} }, Operation.Accept)!);
  for (const event of events) acceptor.accept(listener, event);
  const peers = events.map(() => simulation.connect(listener.localEndpoint()));
  await simulation.run();
  const batch = [new CompletionPacket(), new CompletionPacket()];
  expect(acceptor.dequeue(batch, 0)).toBe(2);
  for (const event of events) main.listenerEvents.release(event);

  service.give(batch[0]!.handle);
  await simulation.run();
  expect(core.sessions).toBe(1);
  let over = false;
  void service.stop(GRACE).then(() => {
    over = true;
  });
  await simulation.run(GRACE);
  expect(over).toBe(false);
  service.give(batch[1]!.handle);
  await simulation.until(() => over);
  await simulation.until(() => peers.every(({ closed }) => closed));
  expect(core.sessions).toBe(0);

  acceptor.destroy();
  const stopped = main.stop().then(() => thread.stop(0));
  await simulation.run();
  await stopped;
});
