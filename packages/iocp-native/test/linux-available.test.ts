// Whether io_uring can serve: what is tried, what the reasons are, and how much memory a ring takes.

import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { constants, release } from 'node:os';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openPort } from '../src/index.js';
import { linuxError, ringError, whyNoRing } from '../src/linux/errors.js';
import { layout, Ring, submissions } from '../src/linux/index.js';
import { linuxBackend, probe } from '../src/linux/io-uring/backend.js';
import { whenFreed, withLargestRing } from '../src/linux/io-uring/locked-memory.js';
import { TaskRun } from '../src/linux/io-uring/ring.js';
import { chooseTaskRun } from '../src/linux/io-uring/task-run.js';
import { close, eventfd, read } from '../src/linux/libc.js';
import { linuxMemory } from '../src/linux/memory.js';
import { signal } from '../src/linux/signals.js';
import { library } from './support/threads.js';

const available = linuxBackend.available();
const reason = available.available ? '' : available.reason;

describe('opening a ring', () => {
  const failing = (times: number, errno: number) =>
    vi.fn(() => {
      if (times-- > 0) throw linuxError('set up an io_uring', 'io_uring_setup', errno);
      return 'open';
    });

  it('waits for the memory of those that were closed', () => {
    const open = failing(3, constants.errno.ENOMEM);
    expect(whenFreed(open)).toBe('open');
    expect(open).toHaveBeenCalledTimes(4);
  });

  it('does not wait for ever', () => {
    const open = failing(Number.POSITIVE_INFINITY, constants.errno.ENOMEM);
    expect(() => whenFreed(open)).toThrow(expect.objectContaining({ code: 'ENOMEM' }));
  });

  it('fails at once for any other reason', () => {
    const open = failing(1, constants.errno.EPERM);
    expect(() => whenFreed(open)).toThrow(expect.objectContaining({ code: 'EPERM' }));
    expect(open).toHaveBeenCalledOnce();
  });

  it('says which limit there is when no memory may be locked', () => {
    expect(ringError('set up an io_uring', 'io_uring_setup', constants.errno.ENOMEM)).toMatchObject({
      code: 'ENOMEM',
      message:
        'Cannot set up an io_uring: no more memory may be locked for a ring: see RLIMIT_MEMLOCK (ENOMEM, io_uring_setup)',
    });
  });

  it('names the kernel that refuses its flags', () => {
    expect(whyNoRing('EINVAL')).toBe(`the kernel (${release()}) refuses what Linux 6.1 takes`);
  });
});

// Elsewhere the system is the reason.
describe.skipIf(process.platform !== 'linux')('where io_uring cannot serve', () => {
  it.each(['ia32', 'arm', 'ppc64', 's390x', 'mips64el'])('%s is refused by name', (arch) => {
    const real = Object.getOwnPropertyDescriptor(process, 'arch')!;
    Object.defineProperty(process, 'arch', { ...real, value: arch });
    const tried = probe();
    Object.defineProperty(process, 'arch', real);
    const reason = `the architecture is ${arch}, and io_uring is served on x64, arm64, riscv64, loong64 only`;
    expect(tried).toEqual({ available: false, reason });
  });

  it('a structure that lies otherwise in memory is a reason, no exception', () => {
    const { size } = layout.EPOLL_EVENT;
    layout.EPOLL_EVENT.size = size + 4;
    const tried = probe();
    layout.EPOLL_EVENT.size = size;
    expect(tried).toEqual({ available: false, reason: expect.stringContaining('the size of struct epoll_event') });
  });
});

describe.skipIf(!available.available)(`the size of a ring (${reason})`, () => {
  /** Opens with rings for which there is no memory `times` times, and gives how many completions each had room for. */
  function tried(times: number): number[] {
    const rooms: number[] = [];
    const open = (ring: Ring) => {
      rooms.push(ring.cqes.length / layout.CQE_WORDS);
      ring.close();
      if (rooms.length <= times) throw linuxError('open', 'mmap', constants.errno.ENOMEM);
    };
    try {
      withLargestRing(open);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOMEM' });
    }
    return rooms;
  }

  it('is as large as there is memory for', () => {
    expect(tried(0)).toEqual([16384]);
    expect(tried(1)).toEqual([16384, 4096]);
    expect(tried(9)).toEqual([16384, 4096, 1024]);
  });

  it('is smaller in a worker', async () => {
    const code = `
      import(process.env.LIBRARY).then(({ openPort }) => {
        const { readFileSync } = require('node:fs');
        const rings = () => readFileSync('/proc/self/maps', 'latin1').split('\\n').filter((line) => line.includes('io_uring'))
          .map((line) => line.split(' ')[0].split('-').map((address) => parseInt(address, 16)))
          .map(([from, to]) => to - from);
        const before = rings();
        const port = openPort({ backend: 'io_uring' });
        const total = (sizes) => sizes.reduce((sum, size) => sum + size, 0);
        const bytes = total(rings()) - total(before);
        port.destroy();
        require('node:worker_threads').parentPort.postMessage(bytes);
      });`;
    const worker = new Worker(code, { eval: true, env: { ...process.env, LIBRARY: library } });
    const [bytes] = await once(worker, 'message');
    await worker.terminate();
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(160 << 10);
  });
});

describe.skipIf(!available.available)(`the wake-up of a guest (${reason})`, () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  const refusal = (times: number) => ({
    available: false as const,
    reason: `Linux ${release()} woke a thread for an io_uring ${times} of 2 times`,
  });

  it('is tried, and comes', () => {
    const enabled = vi.spyOn(Ring.prototype, 'eventfdEnabled', 'set');
    expect(probe()).toEqual({ available: true });
    expect(enabled.mock.calls.slice(0, 4)).toEqual([[true], [false], [true], [false]]);
  });

  it('comes with its completion, before io_uring_enter(): the kernel defers neither', () => {
    const ring = new Ring(8, 16);
    const signals = eventfd(0, layout.EFD_CLOEXEC | layout.EFD_NONBLOCK);
    const polled = eventfd(0, layout.EFD_CLOEXEC | layout.EFD_NONBLOCK);
    const count = Buffer.alloc(8);
    ring.registerEventfd(signals);
    submissions.prepPollAddMulti(ring, polled, layout.POLLIN);
    ring.enter(0);
    for (let i = 0; i < 10; i++) {
      signal(polled);
      expect(ring.cqTail()).toBe(i + 1);
      expect(read(signals, count, 8)).toBe(8);
      expect(read(polled, count, 8)).toBe(8);
      ring.advance(ring.cqTail());
    }
    ring.close();
    for (const fd of [signals, polled]) expect(close(fd)).toBe(0);
  });

  it('never comes: the reason says so, and the next backend serves', () => {
    vi.spyOn(Ring.prototype, 'registerEventfd').mockImplementation(() => {});
    const descriptors = readdirSync('/proc/self/fd').length;
    const tried = probe();
    expect(tried).toEqual(refusal(0));
    expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
    vi.spyOn(linuxBackend, 'available').mockReturnValue(tried);
    vi.stubEnv('OVERLAPPED_BACKEND', '');
    const port = openPort();
    expect(port.backend).toBe('epoll');
    port.destroy();
    expect(() => openPort({ backend: 'io_uring' })).toThrow(
      expect.objectContaining({ code: 'ENOTSUP', message: expect.stringContaining(refusal(0).reason) }),
    );
  });

  it('comes once only: that is not enough', () => {
    const { advance } = Ring.prototype;
    vi.spyOn(Ring.prototype, 'advance').mockImplementation(function (this: Ring, head) {
      advance.call(this, head);
      // From here on the kernel signals no more.
      vi.spyOn(this, 'eventfdEnabled', 'set').mockImplementation(() => {});
    });
    expect(probe()).toEqual(refusal(1));
  });
});

describe.skipIf(!available.available)(`how a ring finishes operations (${reason})`, () => {
  const real = Object.getOwnPropertyDescriptor(process, 'arch')!;
  afterEach(() => {
    Object.defineProperty(process, 'arch', real);
    vi.restoreAllMocks();
  });

  /** What is chosen on x64, where the wake-ups take so many milliseconds, and no other comes. */
  function chosen(delays: readonly number[], isMain = true, isKept = false): TaskRun {
    Object.defineProperty(process, 'arch', { ...real, value: 'x64' });
    let [eventfd, left] = [-1, delays.length];
    vi.spyOn(Ring.prototype, 'registerEventfd').mockImplementation((fd) => {
      eventfd = fd;
    });
    vi.spyOn(Ring.prototype, 'eventfdEnabled', 'set').mockImplementation((on) => {
      if (on && left-- > 0) signal(eventfd);
    });
    const times = delays.flatMap((delay) => [0, delay]);
    vi.spyOn(performance, 'now').mockImplementation(() => times.shift() ?? 0);
    return chooseTaskRun(isMain, isKept);
  }

  it('the main thread defers it where a guest is woken at once', () => {
    expect(chosen([0.1, 0.2, 0.3])).toBe(TaskRun.Defer);
  });

  it('one wake-up may be late, as the thread had no processor', () => {
    expect(chosen([0.1, 20, 0.3])).toBe(TaskRun.Defer);
  });

  it.each([
    ['late', [16, 0.2, 16]],
    ['once only', [0.1]],
    ['twice only', [0.1, 0.1]],
    ['never', []],
  ])('the main thread does not defer it where a guest is woken %s', (_when, delays) => {
    const descriptors = readdirSync('/proc/self/fd').length;
    expect(chosen(delays)).toBe(TaskRun.Coop);
    expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
  });

  it("a core's worker defers it whatever the wake-ups are, a program's own never", () => {
    expect([chosen([], false, true), chosen([0, 0, 0], false, false)]).toEqual([TaskRun.Defer, TaskRun.Coop]);
  });

  it('only x64 defers it', () => {
    for (const arch of ['arm64', 'riscv64', 'loong64']) {
      Object.defineProperty(process, 'arch', { ...real, value: arch });
      expect([chooseTaskRun(true, false), chooseTaskRun(false, true)]).toEqual([TaskRun.Coop, TaskRun.Coop]);
    }
  });

  it('a kernel that cannot does not', () => {
    vi.spyOn(linuxMemory, 'map').mockImplementation(() => {
      throw linuxError('set up an io_uring', 'io_uring_setup', constants.errno.EINVAL);
    });
    expect(chosen([0, 0, 0])).toBe(TaskRun.Coop);
  });
});
