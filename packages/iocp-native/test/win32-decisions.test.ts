// What the Windows backend decides where Wine shows no difference, or has none: which arguments the system is given, and
// what is made of its answers. Its functions are replaced, so this runs anywhere.

import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { plainMemory } from '../src/memory.js';
import * as c from '../src/win32/constants.js';
import { PAGE } from '../src/win32/layout.js';

const fake = await vi.hoisted(async () => new (await import('./support/fake-win32.js')).FakeWin32());
vi.mock(import('../src/win32/kernel32.js'), async (original) => fake.replace(await original()));
vi.mock(import('../src/win32/ws2_32.js'), async (original) => fake.replace(await original()));

// The suites share a process: others have loaded these modules with the real functions, and will again.
vi.resetModules();
afterAll(() => vi.resetModules());
const { Engine } = await import('../src/win32/engine.js');
const { createKernelPort } = await import('../src/shared-port/kernel-port.js');

const PORT = 77;

function engine() {
  const { address, view } = plainMemory.map(PAGE.size);
  const scratch = { address, size: PAGE.size, bytes: Buffer.from(view), words: new Uint32Array(view) };
  return new Engine(scratch, () => {});
}

beforeEach(() => fake.reset({ CreateIoCompletionPort: PORT }));
afterEach(() => fake.reset());

describe('a port', () => {
  it('that one thread reads has no limit of threads in the kernel', () => {
    expect(engine().port).toBe(PORT);
    expect(fake.of('CreateIoCompletionPort')).toEqual([[c.INVALID_HANDLE_VALUE, 0, 0, 0xffffffff]]);
  });

  it('that many threads read has the limit that was asked for', () => {
    expect(createKernelPort(3)).toMatchObject({ kind: 'kernel', handle: PORT });
    expect(fake.of('CreateIoCompletionPort')).toEqual([[-1, 0, 0, 3]]);
  });
});
