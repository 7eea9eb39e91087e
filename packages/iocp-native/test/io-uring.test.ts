// The io_uring backend against the contract.

import { describe, expect, it } from 'vitest';
import { candidates, openPort } from '../src/backend.js';
import { contract } from './contract.js';

const { availability } = candidates().find(({ name }) => name === 'io_uring')!;

if (availability.available) {
  contract('io_uring', (options) => openPort({ ...options, backend: 'io_uring' }), {});
} else {
  describe('the contract, by io_uring', () => {
    it.skipIf(process.env.OVERLAPPED_REQUIRE !== 'all')(`is available (${availability.reason})`, () => {
      expect(availability).toEqual({ available: true });
    });
  });
}
