// Async contexts (AsyncLocalStorage): what a core calls runs in the context of the call that asked for it, and no callback sees
// what another one entered.

import { AsyncLocalStorage } from 'node:async_hooks';
import { openPoster } from '@overlapped/iocp-native';
import { describe, expect, test } from 'vitest';
import { IocpCore, Timer } from '../src/index.js';
import { Inbox, makeCore, pumps } from './support.js';

const store = new AsyncLocalStorage<string>();

/** A test in a context of its own: that of the runner may be whatever came before. */
const testInContext = (name: string, body: () => Promise<void>) => test(name, () => store.run('the test', body));

describe.each(pumps)('async contexts, $pump by $backend', ({ options }) => {
  testInContext('a post has the context of its post() call', async () => {
    const core = makeCore(options);
    const seen: unknown[] = [];
    const target = {
      onPost(name: string) {
        seen.push(`${name}: ${store.getStore()}`);
        store.enterWith(`entered by ${name}`);
      },
    };
    const end = new Inbox<null>(1);
    core.post(target, 'without');
    store.run('first', () => core.post(target, 'one'));
    store.run('second', () => core.post(target, 'two'));
    core.post(target, 'without again');
    core.post(end, null);
    await end.all;
    expect(seen).toEqual(['without: the test', 'one: first', 'two: second', 'without again: the test']);
    core.post(target, 'in another batch');
    const last = new Inbox<null>(1);
    core.post(last, null);
    await last.all;
    expect(seen.at(-1)).toBe('in another batch: the test');
  });

  testInContext('a timer has the context that made it', async () => {
    const core = makeCore(options);
    const seen: unknown[] = [];
    await new Promise<void>((resolve) => {
      const timer = (name: string) =>
        new Timer(() => {
          seen.push(`${name}: ${store.getStore()}`);
          store.enterWith(`entered by ${name}`);
          if (seen.length === 3) resolve();
        });
      const plain = timer('without');
      const one = store.run('first', timer, 'one');
      store.run('of no timer', () => {
        core.timers.set(one, 1);
        core.timers.set(plain, 2);
      });
      store.run('second', () => core.timers.set(timer('two'), 3));
    });
    expect(seen).toEqual(['one: first', 'without: the test', 'two: second']);
  });

  testInContext('what other threads post has the context that made the core', async () => {
    const seen: unknown[] = [];
    const core = await new Promise<IocpCore>((resolve) => {
      const core: IocpCore = store.run('the maker', () => {
        return new IocpCore({
          maxSessions: 16,
          ...options,
          onPost: () => {
            seen.push(store.getStore());
            if (seen.length === 2) resolve(core);
          },
        });
      });
      const poster = openPoster(core.share());
      store.run('a poster', () => poster.post(1, 1));
      poster.post(1, 1);
    });
    await core.stop();
    expect(seen).toEqual(['the maker', 'the maker']);
  });
});

test('ticks and promises have their turn between two timers that are due together', async () => {
  const core = makeCore({});
  const log: string[] = [];
  await new Promise<void>((resolve) => {
    const timer = (name: string) =>
      new Timer(() => {
        log.push(name);
        process.nextTick(() => log.push(`${name}, tick`));
        if (name === 'two') resolve();
      });
    core.timers.set(timer('one'), 1);
    core.timers.set(timer('two'), 1);
    const until = performance.now() + 3;
    while (performance.now() < until);
  });
  await new Promise(setImmediate);
  expect(log).toEqual(['one', 'one, tick', 'two', 'two, tick']);
});
