// The Windows backend against the contract.

import { describe, expect, it } from 'vitest';
import { candidates, openPort } from '../src/backend.js';
import { contract } from './contract.js';

const { availability } = candidates().find(({ name }) => name === 'iocp')!;

const skips = {
  'listeners with reusePort share an address, and take every connection between them': 'Windows has no SO_REUSEPORT',
  'a thread that ended in the middle of a post is recovered from': "the queue is the kernel's, and nobody holds it",
  'a port that cannot wait does not host the loop: ENOTSUP': 'it can wait',
  'a broadcast needs the option: EACCES': 'it depends on the addresses of the interfaces',
  'a port that is not native moves no connection: ENOTSUP': 'it is native',
};
const wine = {
  ...skips,
  'a pause holds the peer back': 'Wine tells node:net at once that any write is done; see win32.test.ts',
  'after ECONNREFUSED a connected datagram socket goes on': 'Wine sees no datagram on a socket that had an error',
};

if (availability.available) {
  contract('iocp', (options) => openPort({ ...options, backend: 'iocp' }), process.env.WINEPREFIX ? wine : skips);
} else {
  describe('the contract, by iocp', () => {
    it.skipIf(process.platform !== 'win32')(`is available (${availability.reason})`, () => {
      expect(availability).toEqual({ available: true });
    });
  });
}
