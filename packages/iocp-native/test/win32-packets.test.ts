// The Windows backend over a provider whose handles are not those of the file system. There no packet may be skipped:
// what succeeds at once gives one too. No such provider can be had for a test, so the question is answered for it.

import { describe, it, vi } from 'vitest';
import { candidates, openPort } from '../src/backend.js';
import { contract } from './contract.js';
import { iocpSkips } from './support/iocp-skips.js';

vi.mock(import('../src/win32/winsock.js'), async (original) => ({ ...(await original()), hasIfsHandles: () => false }));

const { availability } = candidates().find(({ name }) => name === 'iocp')!;
const same = 'no operation of a socket is in it; see iocp.test.ts';
const long = 'takes too long for what it adds to iocp.test.ts';

if (availability.available) {
  contract('iocp, with a packet for every success', (options) => openPort({ ...options, backend: 'iocp' }), {
    ...iocpSkips,
    'a connection with data in flight moves to a thread, whose port echoes': same,
    'what a terminated thread had in flight is given back, and other ports go on': same,
    'what was posted to a thread that ended, and that it has not served, is left over': same,
    'a socket in the batch that a thread ends in is left over, unless it was adopted or closed': same,
    "a program's own thread that ends, whatever ends it, leaves no listener, connection or descriptor": same,
    'a thread that ends in order leaves memory only': same,
    'posts of other threads arrive, each thread in its order': same,
    'a post of another thread wakes dequeue': same,
    'no wake-up is lost, however a wait and the posts of other threads meet': same,
    'worker.terminate() ends a thread that waits in dequeue()': same,
    'watch keeps the process alive, and nothing else of a port does': same,
    '64 MiB in both directions at once arrive byte by byte': long,
    '1,000 connections come and go, and nothing remains': long,
    'a send to a peer that does not read stays in flight, and then completes': long,
  });
} else {
  describe('the contract, by iocp, with a packet for every success', () => {
    it.skip(`is available (${availability.reason})`);
  });
}
