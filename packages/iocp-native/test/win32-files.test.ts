// Sending files on the other editions of Windows than this one: servers have TransmitFile, and clients read and send.

import { describe, it, vi } from 'vitest';
import { files } from './contract/files.js';
import { iocpSkips } from './support/iocp-skips.js';
import { loopback } from './support/network.js';
import { Suite } from './support/suite.js';

vi.mock(import('../src/win32/system.js'), async (original) => {
  const { isClientEdition, ...rest } = await original();
  return { ...rest, isClientEdition: () => !isClientEdition() };
});

if (process.platform === 'win32') {
  // The suites may share a process, where others have loaded these modules.
  vi.resetModules();
  const { openPort } = await import('../src/backend.js');
  describe('files, as the other editions send them', () => {
    files(new Suite((options) => openPort({ ...options, backend: 'iocp' }), iocpSkips, loopback));
  });
} else {
  // There is no TransmitFile elsewhere.
  it.skip('files, as the other editions send them (Windows only)');
}
