// JobPool: arguments, results and errors; order; aborting.

import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, MessagePort } from 'node:worker_threads';
import { isIocpError } from '@overlapped/iocp-native';
import { describe, expect, test } from 'vitest';
import { JobPool } from '../src/index.js';
import { Flags, jobs, makePool, unseen } from './support.js';

/** What a promise rejects with. */
async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was fulfilled');
}

async function errorOf(promise: Promise<unknown>, code: string): Promise<Error> {
  const error = await reasonOf(promise);
  expect(isIocpError(error)).toBe(true);
  expect(error).toMatchObject({ code, syscall: 'JobPool.run' });
  return error as Error;
}

describe('options', () => {
  test('the cores are the default concurrency, and there are twice as many threads', async () => {
    await using pool = new JobPool({ module: jobs });
    expect(pool.stats.threads).toBe(2 * availableParallelism());
    expect(makePool({ concurrency: 1, threads: 3 }).stats.threads).toBe(3);
  });

  test.each([
    [{ threads: 0 }, 'threads must be a whole number from 1 to 250, not 0'],
    [{ threads: 251 }, 'threads must be a whole number from 1 to 250, not 251'],
    [{ concurrency: 1.5 }, 'concurrency must be a whole number from 1 to 4096, not 1.5'],
    [{ module: './jobs.js' }, 'module must be a URL or an absolute path, not ./jobs.js'],
  ])('%j is refused', (options, message) => {
    expect(() => makePool(options)).toThrow(
      expect.objectContaining({ code: 'EINVAL', message: expect.stringContaining(message) }),
    );
  });

  test('the module may be a path, a URL, or the text of one', async () => {
    for (const module of [fileURLToPath(jobs), jobs, jobs.href, 'data:text/javascript,export const first = (x) => x']) {
      await using pool = new JobPool({ module, threads: 1 });
      expect(await pool.run('first', [module.toString()])).toBe(module.toString());
    }
  });
});

describe('values', () => {
  test.each([
    ['none', []],
    ['small ones', [1, -0, 'text', 'ж', true, null, undefined, 1.5, 10n, new Uint8Array([1, 2])]],
    ['objects', [{ a: [new Map([[1, { b: new Set([2]) }]])], d: new Date(0) }, new Float64Array([1.5])]],
    [
      'long ones',
      ['x'.repeat(100_000), new Uint8Array(100_000).fill(3), Array.from({ length: 5000 }, (_, i) => ({ i }))],
    ],
  ])('%s arrive as clones, there and back', async (_, values) => {
    expect(await makePool().run('echo', values)).toEqual(structuredClone(values));
  });

  test('shared memory is shared', async () => {
    const memory = new SharedArrayBuffer(8);
    const back = await makePool().run<SharedArrayBuffer>('first', [memory]);
    new Int32Array(memory)[0] = 42;
    expect(new Int32Array(back)[0]).toBe(42);
  });

  test('what the caller changes after run() does not change the job', async () => {
    const pool = makePool({ threads: 1 });
    const flags = new Flags();
    const held = pool.run('hold', [flags.words]);
    const small = { a: 1 };
    const large = new Array(10_000).fill(1);
    const results = [pool.run('first', [small]), pool.run<number[]>('first', [large])];
    // Past the slots of shared memory.
    const more = Array.from({ length: 2000 }, () => pool.run('first', [small]));
    small.a = 2;
    large[0] = 2;
    flags.set();
    await held;
    expect(await results[0]).toEqual({ a: 1 });
    expect(((await results[1]) as number[])[0]).toBe(1);
    expect(await Promise.all(more)).toEqual(more.map(() => ({ a: 1 })));
  });

  test('what is transferred moves, there and back', async () => {
    const pool = makePool();
    const bytes = new Uint8Array(8).fill(5);
    const run = pool.run('first', [bytes], { transfer: [bytes.buffer] });
    expect(bytes.length).toBe(0);
    expect(await run).toEqual(new Uint8Array(8).fill(5));
    const { port1, port2 } = new MessageChannel();
    const port = await pool.run('givePort', [port2], { transfer: [port2] });
    expect(port).toBeInstanceOf(MessagePort);
    port1.close();
    const large = await pool.run<Uint8Array>('give', [1_000_000]);
    expect(Buffer.from(large).equals(Buffer.alloc(1_000_000, 7))).toBe(true);
  });

  test('a promise that a job returns is its result', async () => {
    const pool = makePool({ threads: 1 });
    expect(await pool.run('asyncAdd', [1, 2])).toBe(3);
    expect(await pool.run('later', ['late', 20])).toBe('late');
    expect(await pool.run('first', [4])).toBe(4);
  });
});

describe('errors', () => {
  test('what a job throws comes back', async () => {
    const pool = makePool();
    for (const name of ['fail', 'failLater']) {
      const error = (await reasonOf(pool.run(name, ['on purpose']))) as Error;
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toBe('on purpose');
      expect(error.stack).toContain('jobs.js');
    }
    expect(await reasonOf(pool.run('throwValue', [undefined]))).toBeUndefined();
    expect(await reasonOf(pool.run('throwValue', [{ code: 7 }]))).toEqual({ code: 7 });
    expect(await reasonOf(pool.run('throwValue', ['x'.repeat(10_000)]))).toBe('x'.repeat(10_000));
    expect(pool.stats).toMatchObject({ failed: 5, finished: 0, running: 0, queued: 0 });
  });

  test('errors keep what they are: code, name, class, cause and their own properties', async () => {
    const pool = makePool({ threads: 1 });
    const fromFs = await reasonOf(pool.run('readMissing'));
    expect(fromFs).toBeInstanceOf(Error);
    expect(fromFs).toMatchObject({ code: 'ENOENT', syscall: 'open', path: resolve('/no/such/file') });
    const aborted = await reasonOf(pool.run('abortHere'));
    expect(aborted).toBeInstanceOf(DOMException);
    expect(aborted).toMatchObject({ name: 'AbortError', code: DOMException.ABORT_ERR });
    const own = (await reasonOf(pool.run('ownClass'))) as Error;
    expect(own).toBeInstanceOf(RangeError);
    expect(own).toMatchObject({ name: 'HttpError', message: 'not here', status: 404, request: { path: '/' } });
    expect(own).not.toHaveProperty('retry');
    expect(own.cause).toBeInstanceOf(TypeError);
    expect(own.cause).toMatchObject({ message: 'because' });
    const several = (await reasonOf(pool.run('several'))) as AggregateError;
    expect(several).toBeInstanceOf(AggregateError);
    expect(several.errors).toMatchObject([{ name: 'TypeError', message: 'one' }, 'two']);
    expect(several.errors[0]).toBeInstanceOf(TypeError);
    expect(await reasonOf(pool.run('circular'))).toMatchObject({ message: 'a circle', cause: { message: 'a circle' } });
    const native = await reasonOf(pool.run('nativeError'));
    expect(isIocpError(native)).toBe(true);
    expect(native).toMatchObject({ name: 'IocpError', code: 'EPERM', syscall: 'nothing', errno: 7 });
    expect((native as Error).message).toBe('Cannot do it: it is a test (EPERM, nothing)');
  });

  test.each(['missing', 'notAFunction', 'toString', '__proto__', '', 'x'.repeat(10_000)])(
    'there is no job "%.20s"',
    async (name) => {
      const { message } = await errorOf(makePool().run(name), 'ENOENT');
      expect(message).toBe(`Cannot run the job "${name}": its module has no such function (ENOENT, JobPool.run)`);
    },
  );

  test('a module that does not load fails every job, and says why', async () => {
    const pool = makePool({ module: new URL('./fixtures/broken.js', import.meta.url) });
    for (let i = 0; i < 3; i++) {
      const error = await errorOf(pool.run('first', [1]), 'ENOEXEC');
      expect(error.message).toContain('its module does not load: this module is broken');
      expect(error.cause).toBeInstanceOf(RangeError);
    }
    const missing = makePool({ module: new URL('./fixtures/missing.js', import.meta.url) });
    expect((await errorOf(missing.run('first'), 'ENOEXEC')).message).toContain('missing.js');
  });

  test('arguments that cannot be cloned fail their job only', async () => {
    const pool = makePool();
    const before = pool.run('first', [1]);
    const error = await errorOf(pool.run('first', [() => {}]), 'EINVAL');
    expect(error.message).toContain('its arguments cannot be cloned: () => {} could not be cloned');
    expect(error.cause).toMatchObject({ name: 'DataCloneError' });
    const twice = new ArrayBuffer(8);
    await errorOf(pool.run('first', [twice], { transfer: [twice, twice] }), 'EINVAL');
    expect([await before, await pool.run('first', [2])]).toEqual([1, 2]);
  });

  test('results that cannot be cloned fail their job only', async () => {
    const pool = makePool({ threads: 1 });
    expect((await errorOf(pool.run('returnFunction'), 'EINVAL')).message).toContain('its result cannot be cloned');
    expect((await errorOf(pool.run('throwFunction'), 'EINVAL')).message).toContain('it threw what cannot be cloned');
    await errorOf(pool.run('giveBadly'), 'EINVAL');
    expect(await pool.run('first', [2])).toBe(2);
  });
});

describe('arguments that cannot be cloned', () => {
  function detached() {
    const bytes = new Uint8Array(8);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    return bytes;
  }
  const throwing = {
    get value() {
      throw new Error('a getter');
    },
  };
  const liar = new Proxy([], {
    get: () => {
      throw new Error('a proxy');
    },
  });

  test.each([
    ['a detached array', [detached()]],
    ['a getter that throws', [throwing]],
    ['a function', [() => {}]],
    ['a list that throws', liar],
  ])('%s takes nothing with it, however often it comes', async (_, args) => {
    const pool = makePool({ threads: 1 });
    // More often than there are slots.
    for (let i = 0; i < 1100; i++) await errorOf(pool.run('first', args), 'EINVAL');
    expect(await pool.run('first', ['alive'])).toBe('alive');
    expect(pool.stats).toMatchObject({ queued: 0, running: 0, finished: 1, failed: 1100 });
  });

  test('what is no name, list or signal is refused before anything is taken', async () => {
    const pool = makePool({ threads: 1 });
    const run = pool.run.bind(pool) as (...args: unknown[]) => Promise<unknown>;
    await errorOf(run(Symbol('name')), 'EINVAL');
    await errorOf(run('first', 'text'), 'EINVAL');
    await errorOf(run('first', [], { signal: {} }), 'EINVAL');
    await errorOf(run('first', [], { transfer: 5 }), 'EINVAL');
    expect(pool.stats).toMatchObject({ queued: 0, running: 0, failed: 0 });
    expect(await pool.run('first', [1])).toBe(1);
  });

  test('a getter may run another job', async () => {
    const pool = makePool({ threads: 1 });
    let inner: Promise<unknown> | undefined;
    const args = {
      get value() {
        inner ??= pool.run('first', ['the inner one']);
        return 'the outer one';
      },
    };
    expect(await pool.run('first', [args])).toEqual({ value: 'the outer one' });
    expect(await inner).toBe('the inner one');
  });
});

describe('results that cannot be read', () => {
  test('reject, and the thread goes on', async () => {
    const pool = makePool({ threads: 1 });
    const results = ['giveDetached', 'give', 'giveDetached', 'returnDetached', 'echo'].map((name) =>
      pool.run(name, name === 'give' ? [10_000] : [1]),
    );
    // A later one may reject before it is looked at.
    await Promise.allSettled(results);
    await errorOf(results[0]!, 'EINVAL');
    expect(await results[1]).toHaveLength(10_000);
    await errorOf(results[2]!, 'EINVAL');
    await errorOf(results[3]!, 'EINVAL');
    expect(await results[4]).toEqual([1]);
    expect(pool.stats).toMatchObject({ queued: 0, running: 0, lostThreads: 0 });
  });
});

describe('order and limits', () => {
  test('jobs start first in first out, however many there are', async () => {
    const pool = makePool({ threads: 1 });
    const flags = new Flags();
    const held = pool.run('hold', [flags.words]);
    await flags.started();
    const numbers = Array.from({ length: 5000 }, (_, i) => i);
    // Every tenth goes another way, as it is large.
    const runs = numbers.map((i) => pool.run('note', i % 10 === 0 ? [i, 'x'.repeat(5000)] : [i]));
    expect(pool.stats).toMatchObject({ queued: 5000, running: 1, finished: 0 });
    flags.set();
    await Promise.all([held, ...runs]);
    expect(await pool.run('notes')).toEqual(numbers);
    expect(pool.stats).toMatchObject({ queued: 0, running: 0, finished: 5002, failed: 0 });
  });

  // Wine takes no notice of NumberOfConcurrentThreads.
  test.skipIf(process.env.WINEPREFIX !== undefined)('no more than `concurrency` jobs run at a time', async () => {
    const pool = makePool({ module: unseen, threads: 4, concurrency: 1 });
    const flags = new Flags();
    const first = pool.run('spin', [flags.words]);
    await flags.started();
    const other = new Flags();
    const second = pool.run('spin', [other.words]);
    // Another job that starts would have time to: a round trip through the event loop of the owner, many times.
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(other.startedNow).toBe(0);
    flags.set();
    await first;
    await other.started();
    other.set();
    await second;
  });

  test.each(['hold', 'holdBlocking'])('while jobs block, others run (%s)', async (name) => {
    const pool = makePool({ threads: 3, concurrency: 1 });
    const flags = new Flags();
    const held = [pool.run(name, [flags.words, 1]), pool.run(name, [flags.words, 2])];
    expect(await pool.run('first', [3])).toBe(3);
    await flags.started(2);
    expect(pool.stats.running).toBe(2);
    flags.set();
    expect(await Promise.all(held)).toEqual([1, 2]);
  });

  test('while an async job waits, others run', async () => {
    const pool = makePool({ threads: 2, concurrency: 1 });
    const controller = new AbortController();
    const never = pool.run('never', [], { signal: controller.signal });
    expect(await pool.run('first', [1])).toBe(1);
    controller.abort();
    await expect(never).rejects.toThrow('aborted');
  });

  test('a thread runs one job at a time, and its event loop is served', async () => {
    const pool = makePool({ threads: 1 });
    const results = await Promise.all([
      pool.run('later', [1, 30]),
      pool.run('later', [2, 1]),
      pool.run('asyncAdd', [1, 2]),
    ]);
    expect(results).toEqual([1, 2, 3]);
  });
});

describe('aborting', () => {
  test('a signal that is aborted already rejects, and nothing runs', async () => {
    const pool = makePool();
    const reason = new Error('no');
    expect(await reasonOf(pool.run('exit', [1], { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(pool.stats).toMatchObject({ finished: 0, failed: 0, queued: 0, running: 0 });
  });

  test('a job that waits never runs, wherever it waits', async () => {
    const pool = makePool({ threads: 1 });
    const flags = new Flags();
    const held = pool.run('hold', [flags.words]);
    await flags.started();
    const controllers = Array.from({ length: 1500 }, () => new AbortController());
    const runs = controllers.map(({ signal }, i) => pool.run('note', [i], { signal }));
    const reasons = Promise.allSettled(runs);
    controllers.forEach((controller, i) => {
      if (i % 3 === 0) controller.abort(i);
    });
    expect(pool.stats).toMatchObject({ queued: 1000, failed: 500 });
    flags.set();
    await held;
    const settled = await reasons;
    expect(settled.every(({ status }, i) => (status === 'rejected') === (i % 3 === 0))).toBe(true);
    expect(settled[3]).toEqual({ status: 'rejected', reason: 3 });
    expect(await pool.run('notes')).toEqual(controllers.map((_, i) => i).filter((i) => i % 3 !== 0));
  });

  test('withdrawing jobs again and again does not fill the port', async () => {
    const pool = makePool({ threads: 1 });
    const flags = new Flags();
    const held = pool.run('hold', [flags.words]);
    await flags.started();
    for (let round = 0; round < 10; round++) {
      const controller = new AbortController();
      const runs = Array.from({ length: 1000 }, () => pool.run('exit', [1], { signal: controller.signal }));
      controller.abort();
      await Promise.allSettled(runs);
    }
    const last = pool.run('first', [1]);
    flags.set();
    expect(await Promise.all([held, last])).toEqual([undefined, 1]);
  });

  test.each(['computeUntilAborted', 'waitUntilAborted'])('a job that runs sees it (%s)', async (name) => {
    const pool = makePool({ threads: 1 });
    const flags = new Flags();
    const controller = new AbortController();
    const run = pool.run(name, [flags.words], { signal: controller.signal });
    await flags.started();
    controller.abort('enough');
    expect(await reasonOf(run)).toBe('enough');
    await flags.isSet();
    // The next job of this thread has a signal of its own.
    expect(await pool.run('wasAborted')).toBe(false);
    expect(pool.stats).toMatchObject({ finished: 1, failed: 1 });
  });

  test('comes too late for a job that has finished', async () => {
    const pool = makePool();
    const controller = new AbortController();
    expect(await pool.run('first', [1], { signal: controller.signal })).toBe(1);
    controller.abort();
    expect(await pool.run('first', [2])).toBe(2);
    expect(pool.stats).toMatchObject({ finished: 2, failed: 0 });
  });
});
