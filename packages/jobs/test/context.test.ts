// Async contexts (AsyncLocalStorage) of jobs.

import { expect, test } from 'vitest';
import { makePool } from './support.js';

test('a job sees nothing of what the job before it entered in the same thread', async () => {
  const pool = makePool({ module: new URL('./fixtures/context.js', import.meta.url), threads: 1 });
  expect(await pool.run('enter', ['one'])).toBe('undefined, then one');
  expect(await pool.run('enter', ['two'])).toBe('undefined, then two');
  expect(await pool.run('enterLater', ['three'])).toBe('undefined, then three');
  expect(await pool.run('enter', ['four'])).toBe('undefined, then four');
});
