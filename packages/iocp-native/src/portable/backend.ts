// PLACEHOLDER until the real one lands.
import type { Backend } from '../backend.js';

export const portableBackend: Backend = {
  name: 'portable',
  available: () => ({ available: false, reason: 'not built yet' }),
  open: () => {
    throw new Error('not built yet');
  },
  openPoster: () => {
    throw new Error('not built yet');
  },
};
