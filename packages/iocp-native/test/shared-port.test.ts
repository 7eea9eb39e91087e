// The shared port's two implementations against its rules, and its options.

import { describe, expect, it } from 'vitest';
import { createSharedPort, openSharedPort } from '../src/shared-port/index.js';
import { createKernelPort } from '../src/shared-port/kernel-port.js';
import { createMemoryPort } from '../src/shared-port/memory-port.js';
import { openThreadState } from '../src/shared-port/thread-state.js';
import { win32Backend } from '../src/win32/backend.js';
import { sharedPortRules } from './shared-port/rules.js';

const windows = win32Backend.available().available;
const unseen = 'nothing here tells that a thread is blocked';

// On Windows the kernel has such ports.
describe.skipIf(windows)('a shared port in memory', () => {
  const blind = { 'a thread that blocks lets the next one start': unseen };
  sharedPortRules(createMemoryPort, openThreadState().stat < 0 ? blind : {});
});

/** The kernel of Windows sees each moment in which a thread is blocked. */
const TRIES = 10;
const unlimited = 'Wine takes no notice of NumberOfConcurrentThreads';
const wine = {
  'at most `concurrency` threads run at a time': unlimited,
  'a thread that comes back goes on without a switch': unlimited,
  'a thread that is busy does not let the next one start': unlimited,
  'a thread that was blocked counts again, from when it comes back': unlimited,
  // Nobody waits for a slot.
  'close() wakes also those who wait for a slot': unlimited,
};

// Elsewhere there is no such kernel.
describe.runIf(windows)('a shared port of the kernel', () => {
  sharedPortRules(createKernelPort, process.env.WINEPREFIX ? wine : {}, TRIES);
});

describe('createSharedPort', () => {
  it.each([0, -1, 1.5, Number.NaN, 4097])('refuses a concurrency of %s', (concurrency) => {
    expect(() => createSharedPort({ concurrency })).toThrow(
      expect.objectContaining({ code: 'EINVAL', message: expect.stringContaining(`not ${concurrency}`) }),
    );
  });

  it('takes the kernel where the kernel keeps such ports', () => {
    const token = createSharedPort();
    expect(token.kind).toBe(windows ? 'kernel' : 'memory');
    openSharedPort(structuredClone(token)).close();
    expect(openSharedPort(token).closed).toBe(true);
  });
});
