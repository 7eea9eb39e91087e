// Debug mode: what a core lends beside its pools is poisoned when it comes back, and a packet too many names who had its event.
// OVERLAPPED_DEBUG is read when the packages are loaded, so this file sets it before.

import { Operation } from '@overlapped/iocp-native';
import { POISON } from '@overlapped/iocp-native/internal';
import { createSimulation } from '@overlapped/iocp-native/testing';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Core } from '../src/core.js';
import { type CompletionOwner, onCompletion, onFlush } from '../src/owners.js';

vi.hoisted(() => {
  process.env.OVERLAPPED_DEBUG = '1';
});

function simulate() {
  const simulation = createSimulation({ seed: 1 });
  const core = new Core({ system: simulation, maxSessions: 1 });
  onTestFinished(async () => {
    await Promise.all([core.stop(), simulation.run()]);
  });
  return { core, simulation };
}

/** Whether all of these bytes are poison. */
const isPoison = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === POISON);

test('a message of the messages, when nobody reads it any more', () => {
  const { core } = simulate();
  let kept: Buffer | undefined;
  core.onMessage = (messages, message) => {
    const start = messages.offsetOf(message);
    kept = messages.block.bytes.subarray(start, start + messages.lengthOf(message));
    expect(String(kept)).toBe('to all');
  };
  core.broadcast(Buffer.from('to all'));
  expect(isPoison(kept!)).toBe(true);
});

test('a block in the place of a send buffer, when its send is done', async () => {
  const { core, simulation } = simulate();
  const { sendBuffers, bufferWaiters } = core;
  const all = Array.from({ length: sendBuffers.capacity }, () => sendBuffers.acquire());
  const block = await new Promise<ReturnType<typeof bufferWaiters.takeOverflow>>((resolve) => {
    core.awaitSendBuffer({ [onFlush]: () => resolve(bufferWaiters.takeOverflow()) });
    simulation.run(1000);
  });
  block!.bytes.fill(1);
  bufferWaiters.releaseOverflow(block!);
  expect(isPoison(block!.bytes)).toBe(true);
  for (const buffer of all) sendBuffers.release(buffer);
});

test('a packet of an event that was released is an uncaught exception, which names who had it', async () => {
  const { core, simulation } = simulate();
  const uncaught = vi.fn();
  process.setUncaughtExceptionCaptureCallback(uncaught);
  onTestFinished(() => process.setUncaughtExceptionCaptureCallback(null));
  const owner: CompletionOwner = { [onCompletion]: () => core.events.release(event) };
  const event = core.events.acquire(owner, Operation.Connect)!;
  core.port.connect(event, { ...simulation.listen().endpoint, port: 1 }, null);
  // As a port would that gives one packet twice.
  const { dequeue } = core.port;
  core.port.dequeue = (batch, timeout) => {
    const count = dequeue.call(core.port, batch, timeout);
    if (count === 0 || batch[0]!.event !== event) return count;
    Object.assign(batch[count]!, batch[0]);
    return count + 1;
  };
  await simulation.run(1000);
  expect(uncaught).toHaveBeenCalledOnce();
  expect(uncaught.mock.calls[0]![0].message).toMatch(/^use of event \d+, which was released\n {2}acquired:/);
});
