// What the kernel's shared port asks of Windows. Its functions are replaced, so this runs anywhere.

import { afterAll, expect, it, vi } from 'vitest';

const CreateIoCompletionPort = vi.hoisted(() => vi.fn(() => 77));
vi.mock(import('../src/win32/kernel32.js'), async (original) => ({
  ...(await original()),
  CreateIoCompletionPort: CreateIoCompletionPort as never,
}));

// The suites share a process: others have loaded these modules with the real functions, and will again.
vi.resetModules();
afterAll(() => vi.resetModules());
const { createKernelPort } = await import('../src/shared-port/kernel-port.js');

it('the limit of threads is the one that was asked for', () => {
  expect(createKernelPort(3)).toMatchObject({ kind: 'kernel', handle: 77 });
  expect(CreateIoCompletionPort.mock.calls).toEqual([[-1, 0, 0, 3]]);
});
