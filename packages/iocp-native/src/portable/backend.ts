// The fall-back: a completion port over node:net, for where the kernel offers none.

import type { Backend } from '../contract/driver.js';
import { closePostedQueue } from '../port/posted-queue.js';
import { needsKernel } from './errors.js';
import { openPoster, recoverPoster } from './inbox.js';
import { PortablePort } from './port.js';

export const portableBackend: Backend = {
  name: 'portable',
  available: () => ({ available: true }),
  open: (options) => new PortablePort(options),
  openPoster,
  closeHandle() {
    throw needsKernel('close a connection', 'close');
  },
  remoteEndpointOf() {
    throw needsKernel('read an address', 'getpeername');
  },
  closeQueue: closePostedQueue,
  reap() {},
  recoverPoster,
};
