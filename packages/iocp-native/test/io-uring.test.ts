// The io_uring backend against the contract.

import { describe, expect, it } from 'vitest';
import { candidates, openPort } from '../src/backend.js';
import { contract } from './contract.js';

const { availability } = candidates().find(({ name }) => name === 'io_uring')!;

if (availability.available) {
  contract('io_uring', (options) => openPort({ ...options, backend: 'io_uring' }), {
    'sharing an address rejects with ENOTSUP': 'Linux has SO_REUSEPORT',
    'a port that cannot wait does not host the loop: ENOTSUP': 'it can wait',
    'a port that is not native moves no connection: ENOTSUP': 'it is native',
    'a type of service is refused where packets cannot have it: ENOTSUP': 'Linux has IP_TOS',
    'a type of service is refused where datagrams cannot have it: ENOTSUP': 'Linux has IP_TOS',
    'an option that node:net lacks is refused: ENOTSUP': 'it has these options',
  });
} else {
  describe('the contract, by io_uring', () => {
    it.skipIf(process.env.OVERLAPPED_REQUIRE !== 'all')(`is available (${availability.reason})`, () => {
      expect(availability).toEqual({ available: true });
    });
  });
}
