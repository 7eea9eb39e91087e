// The Windows backend against the contract.

import { describe, expect, it } from 'vitest';
import { candidates, openPort } from '../src/backend.js';
import { contract } from './contract.js';

const { availability } = candidates().find(({ name }) => name === 'iocp')!;

const wine = {
  'a pause holds the peer back': 'Wine tells node:net at once that any write is done; see win32.test.ts',
};

if (availability.available) {
  contract('iocp', (options) => openPort({ ...options, backend: 'iocp' }), process.env.WINEPREFIX ? wine : {});
} else {
  describe('the contract, by iocp', () => {
    it.skipIf(process.platform !== 'win32')(`is available (${availability.reason})`, () => {
      expect(availability).toEqual({ available: true });
    });
  });
}
