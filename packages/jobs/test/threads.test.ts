// The threads of a JobPool: how they die and are replaced, how the pool stops, and what it leaves behind.

import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { JobPool } from '../src/index.js';
import { Flags, jobs, makePool, turns } from './support.js';

const suicidal = new URL('./fixtures/suicidal.js', import.meta.url);

describe('a thread that dies', () => {
  test.each([
    ['exits', 'exit', [0], undefined],
    ['throws outside of its job', 'throwOutside', [], 'outside of the job'],
    ['runs out of memory', 'exhaustMemory', [], 'memory'],
  ])('because it %s rejects its own job only, and is replaced', async (_, name, args, reason) => {
    const pool = makePool({ threads: 2, concurrency: 2, resourceLimits: { maxOldGenerationSizeMb: 32 } });
    const flags = new Flags();
    const held = pool.run('hold', [flags.words, 'held']);
    await flags.started();
    const dying = pool.run(name, args).catch((error) => error);
    const queued = Array.from({ length: 50 }, (_, i) => pool.run('first', [i]));
    const error = (await dying) as Error;
    expect(error).toMatchObject({ code: 'ECHILD', message: expect.stringContaining('its thread died') });
    if (reason) expect(error.message).toContain(reason);
    expect(await Promise.all(queued)).toEqual(queued.map((_, i) => i));
    flags.set();
    expect(await held).toBe('held');
    expect(pool.stats).toMatchObject({ threads: 2, finished: 51, failed: 1, running: 0, queued: 0 });
  });

  test('of what a job left behind is told of: a warning, a channel, a stat', async () => {
    const pool = makePool({ threads: 1 });
    const published: unknown[] = [];
    const listener = (message: unknown) => published.push(message);
    subscribe('overlapped:job-thread-lost', listener);
    onTestFinished(() => void unsubscribe('overlapped:job-thread-lost', listener));
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
    await pool.run('throwLater');
    const warning = await warned;
    expect(warning.message).toBe('left behind');
    expect(warning.stack).toContain('jobs.js');
    expect(published).toMatchObject([{ index: 0, error: { message: 'left behind' } }]);
    expect(pool.stats.lostThreads).toBe(1);
    expect(await pool.run('first', [1])).toBe(1);
  });

  test('has finished what it finished, also when its owner has not looked since', async () => {
    // Having started a job the owner looks for results in immediates, and no thread need wake it. These never come.
    vi.useFakeTimers({ toFake: ['setImmediate'] });
    onTestFinished(() => void vi.useRealTimers());
    const pool = makePool({ threads: 1 });
    expect(await pool.run('finishAndExit', [7])).toBe(7);
    expect(pool.stats).toMatchObject({ finished: 1, failed: 0, running: 0, queued: 0 });
  });

  test('again and again loses nothing else', async () => {
    const pool = makePool({ threads: 2, concurrency: 2 });
    const runs = Array.from({ length: 400 }, (_, i) =>
      i % 40 === 20 ? pool.run('exit', [1]) : pool.run('first', [i]),
    );
    const settled = await Promise.allSettled(runs);
    expect(settled.map((result) => (result.status === 'fulfilled' ? result.value : -1))).toEqual(
      runs.map((_, i) => (i % 40 === 20 ? -1 : i)),
    );
  });

  test('while it loads its module fails what there is to run, and is tried again for the next job', async () => {
    const pool = makePool({ module: suicidal });
    for (let i = 0; i < 2; i++) {
      const results = await Promise.allSettled([pool.run('a'), pool.run('b')]);
      for (const result of results) expect(result).toMatchObject({ reason: { code: 'ECHILD' } });
    }
    await pool.stop();
  });
});

describe('stop', () => {
  test('waits for the jobs that there are, and takes no more', async () => {
    const pool = makePool({ threads: 1 });
    const runs = [pool.run('later', [1, 30]), pool.run('first', [2]), pool.run('later', [3, 1])];
    const stopping = pool.stop();
    expect(pool.stop()).toBe(stopping);
    expect(pool[Symbol.asyncDispose]()).toBe(stopping);
    await expect(pool.run('first', [4])).rejects.toMatchObject({ code: 'ECANCELED' });
    await stopping;
    expect(await Promise.all(runs)).toEqual([1, 2, 3]);
    expect(pool.stats).toMatchObject({ threads: 0, queued: 0, running: 0, finished: 3 });
  });

  test('rejects at the deadline what has not ended, and ends the threads whatever they do', async () => {
    const pool = makePool({ threads: 2, concurrency: 2 });
    const flags = new Flags();
    const names = ['loopForEver', 'never', 'first', 'first'];
    const runs = Promise.allSettled(names.map((name) => pool.run(name, [flags.words])));
    await flags.started();
    await pool.stop(50);
    const [loop, never] = await runs;
    for (const result of [loop, never]) expect(result).toMatchObject({ reason: { code: 'ECANCELED' } });
    expect(pool.stats).toMatchObject({ threads: 0, queued: 0, running: 0 });
  });

  test.each([Number.NaN, -1, 2 ** 31])('a grace of %d ends nothing', async (grace) => {
    const pool = makePool({ threads: 1 });
    const run = pool.run('later', [1, 30]);
    expect(() => pool.stop(grace)).toThrow(RangeError);
    expect(await run).toBe(1);
    expect(await pool.run('first', [2])).toBe(2);
  });

  test('ends threads whose event loop would live on', async () => {
    const pool = makePool({ threads: 1 });
    await pool.run('leaveTimer');
    await pool.stop(60_000);
    expect(pool.stats.threads).toBe(0);
  });

  test('comes at any moment, also before the threads have started', async () => {
    for (let turns = 0; turns < 10; turns++) {
      await using pool = new JobPool({ module: jobs, threads: 2 });
      for (let i = 0; i < turns * 20; i++) await new Promise((resolve) => setImmediate(resolve));
      if (turns % 2 === 1) void pool.run('first', [turns]).catch(() => {});
    }
  });

  test('leaves no thread, descriptor or memory behind', { timeout: 60_000 }, async () => {
    const cycle = async () => {
      await using pool = new JobPool({ module: jobs, threads: 2, concurrency: 2 });
      // Node leaves files open in a thread that is terminated while it loads; so that both have loaded, both run a job.
      const flags = new Flags();
      const held = [pool.run('hold', [flags.words]), pool.run('hold', [flags.words])];
      await flags.started(2);
      flags.set();
      await Promise.all(held);
      const large = new Uint8Array(100_000);
      await Promise.all(Array.from({ length: 20 }, (_, i) => pool.run('first', [i % 2 === 0 ? large : i])));
      void pool.run('never').catch(() => {});
      await pool.stop(i++ % 2 === 0 ? 0 : 1);
    };
    let i = 0;
    for (let warm = 0; warm < 10; warm++) await cycle();
    const before = usage();
    const rounds = 10;
    for (let round = 0; round < rounds; round++) await cycle();
    const after = usage();
    // What others in this process open or start meanwhile does not grow with the rounds.
    expect(after.threads - before.threads).toBeLessThan(rounds / 2);
    expect(after.descriptors - before.descriptors).toBeLessThan(rounds / 2);
    // A pool that was kept would have some 20 MB.
    expect(after.memory - before.memory).toBeLessThan(100e6);
  });
});

describe('stats', () => {
  test('count wake-ups, of few threads while the others sleep', async () => {
    const pool = makePool({ threads: 4, concurrency: 4 });
    const sum = () => pool.stats.wakeUps.reduce((a, b) => a + b);
    for (let i = 0; i < 500; i++) await pool.run('first', [i]);
    expect([pool.stats.threads, pool.stats.wakeUps.length]).toEqual([4, 4]);
    // If each job woke all threads there would be 2000.
    expect(sum()).toBeLessThan(1500);
    // As long as there is always a next job a thread may look out for it, and none sleeps.
    while (sum() === 0) {
      await turns(10);
      await pool.run('first', [0]);
    }
  });
});

describe('a process', () => {
  test('lives while a job is outstanding, and no longer', async () => {
    expect(await runSleepy('run')).toEqual({ code: 0, output: 'waited\n' });
  });

  test('that is a text on the command line has its jobs, though Node takes --input-type for no file', async () => {
    const library = new URL('../dist/index.js', import.meta.url).href;
    const text = `
      import { JobPool } from '${library}';
      const pool = new JobPool({ module: '${jobs.href}', threads: 1 });
      console.log(await pool.run('first', ['a result']));
      await pool.stop();`;
    expect(await outputOf(['--input-type=module', '-e', text])).toEqual({ code: 0, output: 'a result\n' });
  });

  test('does not live for an idle pool', async () => {
    expect(await runSleepy('idle')).toEqual({ code: 0, output: '' });
  });
});

function runSleepy(what: string): Promise<{ code: number | null; output: string }> {
  const script = fileURLToPath(new URL('./fixtures/sleepy.mjs', import.meta.url));
  const library = new URL('../dist/index.js', import.meta.url).href;
  return outputOf([script, library, what]);
}

function outputOf(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

/** Of this process; only memory off Linux. (Under Wine there is a /proc, whose `self` is Wine's server.) */
function usage(): { threads: number; descriptors: number; memory: number } {
  const count = (folder: string) => (process.platform === 'linux' ? readdirSync(folder).length : 0);
  return { threads: count('/proc/self/task'), descriptors: count('/proc/self/fd'), memory: process.memoryUsage.rss() };
}
