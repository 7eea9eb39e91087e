// IocpCore: its options, how it stops, and raw operations through it.

import { AssertionError } from 'node:assert';
import { availableParallelism } from 'node:os';
import {
  type BackendName,
  type CompletionPacket,
  candidates,
  endpoint,
  GatherList,
  isIocpError,
  Operation,
  openPoster,
} from '@overlapped/iocp-native';
import type { IocpEvent } from '@overlapped/object-pool';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Core } from '../src/core.js';
import { IocpCore, Timer } from '../src/index.js';
import { type CompletionOwner, onCompletion, onFlush } from '../src/owners.js';
import { backends, makeCore, turns } from './support.js';

describe('options', () => {
  // Elsewhere, and on kernels that lack it, the portable backend is what there is.
  test.runIf(process.env.OVERLAPPED_REQUIRE === 'all' && process.platform === 'linux')('io_uring is there', () => {
    expect(candidates()).toContainEqual({ name: 'io_uring', availability: { available: true } });
    expect(makeCore({}).backend).toBe('io_uring');
  });

  test('the best backend is the default, and all cores its concurrency', () => {
    const core = makeCore({});
    expect(core.backend).toBe(process.env.OVERLAPPED_BACKEND || backends[0]);
    expect(core.port.concurrency).toBe(availableParallelism());
    expect(makeCore({ concurrency: 3 }).port.concurrency).toBe(3);
  });

  test.each([0, -1, 1.5, Number.NaN, 500_001])('maxSessions %s is refused', (maxSessions) => {
    const make = () => new IocpCore({ maxSessions });
    expect(make).toThrow(RangeError);
    expect(make).toThrow(`maxSessions must be a whole number from 1 to 500000, not ${maxSessions}`);
  });

  test('maxSessions are admitted, and no more', () => {
    const core = makeCore({ maxSessions: 2 });
    expect([core.quota.take(), core.quota.take(), core.quota.take(), core.sessions]).toEqual([true, true, false, 2]);
    core.quota.giveBack();
    expect([core.quota.take(), core.quota.take(), core.sessions]).toEqual([true, false, 2]);
  });

  test.each<[object, string]>([
    [{ concurrency: 0 }, 'concurrency must be a whole number from 1 to 4096, not 0'],
    [{ threads: 'two' }, 'threads must be a whole number from 0 to 256, not "two"'],
    [{ thread: 2 }, "unknown option 'thread'; did you mean 'threads'?"],
    [{ dedicated: 1 }, 'dedicated must be true or false, not 1'],
    [{ onPost: {} }, 'onPost must be a function, not an object'],
    [{ resourceLimits: 5 }, 'resourceLimits must be an object, not 5'],
  ])('%j is refused, and nothing is left of it', (options, message) => {
    expect(() => new IocpCore(options)).toThrow(message);
  });

  test.each([undefined, null, () => {}, {}, { onPost: 'x' }])(
    'what has no onPost() gets no packet: %s',
    async (target) => {
      const core = makeCore({});
      expect(() => core.post(target as never, 1)).toThrow('target must be an object with onPost()');
    },
  );

  test('unknown backends are refused', () => {
    expect(errorOf({ backend: 'kqueue' as BackendName })).toMatchObject({
      code: 'EINVAL',
      message: expect.stringContaining('there is no backend "kqueue"'),
    });
  });

  test('a backend that cannot serve here says why', () => {
    const missing = candidates().flatMap(({ name, availability }) => (availability.available ? [] : [name]));
    for (const backend of missing) expect(errorOf({ backend })).toMatchObject({ code: 'ENOTSUP' });
    expect(missing.length + backends.length).toBe(candidates().length);
  });
});

function errorOf(options: ConstructorParameters<typeof IocpCore>[0]): unknown {
  try {
    new IocpCore(options);
  } catch (error) {
    expect(isIocpError(error)).toBe(true);
    return error;
  }
  throw new Error('it was accepted');
}

describe.each(backends)('stop, by %s', (backend) => {
  // setTimeout() takes more than 2 ** 31 - 1 for 1 ms, and would end the threads at once.
  test.each([Number.NaN, -1, 2 ** 31])('a grace of %d ends nothing', async (grace) => {
    const core = makeCore({ backend });
    expect(() => core.stop(grace)).toThrow(RangeError);
    await core.stop();
  });

  test('waits for what is attached, and passes the grace on', async () => {
    const core = makeCore({ backend });
    let ended!: () => void;
    const asked: number[] = [];
    const stoppable = {
      stop(grace: number) {
        asked.push(grace);
        return new Promise<void>((resolve) => {
          ended = resolve;
        });
      },
    };
    const detached = { stop: () => Promise.reject(new Error('it had ended')) };
    core.attach(stoppable);
    core.attach(detached);
    core.detach(detached);
    let stopped = false;
    const stopping = core.stop(123).then(() => {
      stopped = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(stopped).toBe(false);
    core.post({ onPost: ended }, undefined);
    await stopping;
    expect(asked).toEqual([123]);
  });

  test('closes the port, once', async () => {
    const core = makeCore({ backend });
    const poster = openPoster(core.share());
    const timer = new Timer(() => {});
    core.timers.set(timer, 60_000);
    const stopping = core.stop();
    expect(core.stop()).toBe(stopping);
    expect(core[Symbol.asyncDispose]()).toBe(stopping);
    await stopping;
    expect(poster.post(1, 1)).toBe(false);
    expect(core.timers.size).toBe(0);
    expect(() => core.post({ onPost() {} }, null)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  test('rejects when an event or a send buffer leaks', async () => {
    const leaky = new Core({ backend, maxSessions: 16 });
    leaky.events.acquire({ [onCompletion]() {} }, Operation.Send);
    await expect(leaky.stop()).rejects.toThrow(AssertionError);
    await expect(leaky.stop()).rejects.toThrow(/1 of \d+ events \(1 Send\) are out/);
    const other = new Core({ backend, maxSessions: 16 });
    other.sendBuffers.acquire();
    await expect(other.stop()).rejects.toThrow('1 of 1024 buffers of 16448 bytes are out');
  });

  test('flushes who waits for a send buffer, one for each that comes back', async () => {
    const core = makeCore({ backend });
    holdTime();
    const buffers = Array.from({ length: core.sendBuffers.capacity }, () => core.sendBuffers.acquire());
    const take = () => vi.fn(() => void buffers.push(core.sendBuffers.acquire()));
    const waiters = [{ [onFlush]: take() }, { [onFlush]: take() }, { [onFlush]: take() }] as const;
    for (const waiter of waiters) core.awaitSendBuffer(waiter);
    for (const buffer of buffers.splice(0, 2)) core.releaseSendBuffer(buffer);
    while (waiters[1][onFlush].mock.calls.length === 0) await turns(1);
    await turns(2);
    expect(waiters.map((waiter) => waiter[onFlush].mock.calls.length)).toEqual([1, 1, 0]);
    for (const buffer of buffers) core.sendBuffers.release(buffer);
  });

  test('one who waited for a send buffer and needs none any more leaves it to the next', async () => {
    const core = makeCore({ backend });
    holdTime();
    const buffers = Array.from({ length: core.sendBuffers.capacity }, () => core.sendBuffers.acquire());
    const closed = { [onFlush]: vi.fn() };
    const next = { [onFlush]: vi.fn() };
    core.awaitSendBuffer(closed);
    core.awaitSendBuffer(next);
    core.releaseSendBuffer(buffers.pop()!);
    while (next[onFlush].mock.calls.length === 0) await turns(1);
    await turns(2);
    expect([closed, next].map((waiter) => waiter[onFlush].mock.calls.length)).toEqual([1, 1]);
    for (const buffer of buffers) core.sendBuffers.release(buffer);
  });
});

/** No timer fires until the end of the test: a long wait for a send buffer would be served by an overflow block. */
function holdTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
}

/** Each packet to the one who started its operation: an owner that does what its script says. */
class Owner implements CompletionOwner {
  readonly #on: (packet: CompletionPacket) => void;

  constructor(on: (packet: CompletionPacket) => void) {
    this.#on = on;
  }

  [onCompletion](packet: CompletionPacket): void {
    this.#on(packet);
  }
}

describe.each(backends)('raw operations, by %s', (backend) => {
  test('an accept, a connect, a receive and a send find their owners', async () => {
    const core = makeCore({ backend });
    const { port, events } = core;
    const log: string[] = [];
    const release = ({ event }: CompletionPacket) => events.release(event as IocpEvent<CompletionOwner>);
    const listener = await port.listen(endpoint('127.0.0.1', 0));
    const text = core.sendBuffers.acquire();

    const closed = new Promise<void>((resolve) => {
      let open = 3;
      const socketOwner = new Owner(({ operation }) => {
        expect(operation).toBe(Operation.Close);
        log.push('close');
        if (--open === 0) resolve();
      });
      listener.key = socketOwner;

      const receiving = new Owner((packet) => {
        if (packet.data !== null) {
          log.push(`received ${packet.data}`);
          port.release(packet.buffer);
        } else {
          expect(packet.error).toBeNull();
          log.push('end');
          release(packet);
          port.close(packet.socket!);
          port.close(listener);
        }
      });
      const accepting = new Owner((packet) => {
        expect(packet.error).toBeNull();
        log.push('accepted');
        release(packet);
        packet.socket!.key = socketOwner;
        port.receive(packet.socket!, events.acquire(receiving, Operation.Receive)!);
      });
      const sending = new Owner((packet) => {
        expect(packet.bytes).toBe(5);
        log.push('sent');
        release(packet);
        core.releaseSendBuffer(text);
        port.close(packet.socket!);
      });
      const connecting = new Owner((packet) => {
        expect(packet.error).toBeNull();
        release(packet);
        const pieces = new GatherList();
        const length = core.sendBuffers.bytes(text).write('hello');
        pieces.add(core.sendBuffers.block, core.sendBuffers.offsetOf(text), length);
        port.send(packet.socket!, events.acquire(sending, Operation.Send)!, pieces);
      });
      port.accept(listener, events.acquire(accepting, Operation.Accept)!);
      port.connect(events.acquire(connecting, Operation.Connect)!, listener.localEndpoint(), socketOwner);
    });
    await closed;
    expect(log.sort()).toEqual(['accepted', 'close', 'close', 'close', 'end', 'received hello', 'sent']);
    expect(core.events.out).toBe(0);
    expect(port.stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0, dropped: 0 });
  });
});
