// The fall-back: a completion port over node:net, for where the kernel offers none.

import type { Backend } from '../backend.js';
import { openPoster } from './inbox.js';
import { PortablePort } from './port.js';

export const portableBackend: Backend = {
  name: 'portable',
  available: () => ({ available: true }),
  open: (options) => new PortablePort(options),
  openPoster,
};
