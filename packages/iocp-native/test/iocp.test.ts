// The Windows backend against the contract.

import { describe, expect, it } from 'vitest';
import { candidates, openPort } from '../src/backend.js';
import { contract } from './contract.js';
import { iocpSkips } from './support/iocp-skips.js';

const { availability } = candidates().find(({ name }) => name === 'iocp')!;

if (availability.available) {
  contract('iocp', (options) => openPort({ ...options, backend: 'iocp' }), iocpSkips);
} else {
  describe('the contract, by iocp', () => {
    it.skipIf(process.platform !== 'win32')(`is available (${availability.reason})`, () => {
      expect(availability).toEqual({ available: true });
    });
  });
}
