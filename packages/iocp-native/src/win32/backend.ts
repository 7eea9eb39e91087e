// PLACEHOLDER until the real one lands.
import type { Backend } from '../backend.js';

export const win32Backend: Backend = {
  name: 'iocp',
  available: () => ({ available: false, reason: 'not built yet' }),
  open: () => {
    throw new Error('not built yet');
  },
  openPoster: () => {
    throw new Error('not built yet');
  },
};
