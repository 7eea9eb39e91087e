// The selector: which backends there are, what openPort() refuses, and who decides which one serves.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { candidates, openPort, openPoster } from '../src/backend.js';
import { isIocpError } from '../src/contract/errors.js';
import type { BackendName } from '../src/contract/port.js';

afterEach(() => vi.unstubAllEnvs());

function refusal(open: () => unknown): unknown {
  try {
    open();
  } catch (error) {
    expect(isIocpError(error)).toBe(true);
    return error;
  }
  throw new Error('it was not refused');
}

describe('candidates', () => {
  it('are in order of preference, and the last one is always available', () => {
    const list = candidates();
    expect(list.map(({ name }) => name)).toEqual(['iocp', 'io_uring', 'epoll', 'portable']);
    expect(list.at(-1)!.availability).toEqual({ available: true });
    for (const { availability } of list) {
      if (!availability.available) expect(availability.reason).not.toBe('');
    }
  });
});

describe('openPort', () => {
  it('takes the first that is available', () => {
    vi.stubEnv('OVERLAPPED_BACKEND', '');
    const port = openPort();
    expect(port.backend).toBe(candidates().find(({ availability }) => availability.available)!.name);
    port.destroy();
  });

  it('takes the one in the environment, and before that the one asked for', () => {
    vi.stubEnv('OVERLAPPED_BACKEND', 'portable');
    const port = openPort();
    expect(port.backend).toBe('portable');
    port.destroy();
    vi.stubEnv('OVERLAPPED_BACKEND', 'none');
    const asked = openPort({ backend: 'portable' });
    expect(asked.backend).toBe('portable');
    asked.destroy();
    expect(refusal(() => openPort())).toMatchObject({ code: 'EINVAL' });
  });

  it('refuses a backend that is not available', () => {
    for (const { name, availability } of candidates()) {
      if (availability.available) continue;
      expect(refusal(() => openPort({ backend: name }))).toMatchObject({
        code: 'ENOTSUP',
        message: expect.stringContaining(availability.reason),
      });
    }
    expect(refusal(() => openPort({ backend: 'kqueue' as BackendName }))).toMatchObject({ code: 'EINVAL' });
  });

  it.each([
    { concurrency: 0 },
    { concurrency: 1.5 },
    { concurrency: 4097 },
    { receiveBuffers: { count: 3, size: 64 } },
    { receiveBuffers: { count: 0, size: 64 } },
    { receiveBuffers: { count: 65536, size: 64 } },
    { receiveBuffers: { count: 2, size: 63 } },
    { receiveBuffers: { count: 2, size: 66 } },
    { receiveBuffers: { count: 2, size: (1 << 20) + 1 } },
  ])('refuses %j', (options) => {
    expect(refusal(() => openPort({ backend: 'portable', ...options }))).toMatchObject({
      code: 'EINVAL',
      message: expect.stringMatching(/^Cannot open a port: .+/),
    });
  });

  it('keeps the concurrency that it was given', () => {
    const port = openPort({ backend: 'portable', concurrency: 3 });
    expect(port.concurrency).toBe(3);
    port.destroy();
  });
});

describe('openPoster', () => {
  it('refuses the token of a backend that there is not', () => {
    const token = { backend: 'kqueue' as BackendName, handle: -1, queue: null };
    expect(refusal(() => openPoster(token))).toMatchObject({ code: 'EINVAL' });
  });
});
