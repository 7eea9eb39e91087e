// Sending files on the other editions of Windows than this one: servers have TransmitFile, and clients read and send.

import { describe, it, vi } from 'vitest';

vi.mock(import('../src/win32/system.js'), async (original) => {
  const { isClientEdition, ...rest } = await original();
  return { ...rest, isClientEdition: () => !isClientEdition() };
});

if (process.platform === 'win32') {
  // The suites may share a process, where others have loaded these modules. The rules need the same copy of them as the port.
  vi.resetModules();
  const { openPort } = await import('../src/backend.js');
  const { files } = await import('./contract/files.js');
  const { iocpSkips } = await import('./support/iocp-skips.js');
  const { loopback } = await import('./support/network.js');
  const { Suite } = await import('./support/suite.js');
  describe('files, as the other editions send them', () => {
    files(new Suite((options) => openPort({ ...options, backend: 'iocp' }), iocpSkips, loopback));
  });
} else {
  // There is no TransmitFile elsewhere.
  it.skip('files, as the other editions send them (Windows only)');
}
