// The epoll backend against the contract.

import { describe, expect, it } from 'vitest';
import { candidates, openPort } from '../src/backend.js';
import { contract } from './contract.js';

const { availability } = candidates().find(({ name }) => name === 'epoll')!;

if (availability.available) {
  contract('epoll', (options) => openPort({ ...options, backend: 'epoll' }), {
    'sharing an address rejects with ENOTSUP': 'Linux has SO_REUSEPORT',
    'a port that cannot wait does not host the loop: ENOTSUP': 'it can wait',
    'a port that is not native moves no connection: ENOTSUP': 'it is native',
    'a type of service is refused where packets cannot have it: ENOTSUP': 'Linux has IP_TOS',
    'a type of service is refused where datagrams cannot have it: ENOTSUP': 'Linux has IP_TOS',
    'an option that node:net lacks is refused: ENOTSUP': 'it has these options',
  });
} else {
  describe('the contract, by epoll', () => {
    it.skipIf(process.env.OVERLAPPED_REQUIRE !== 'all')(`is available (${availability.reason})`, () => {
      expect(availability).toEqual({ available: true });
    });
  });
}
