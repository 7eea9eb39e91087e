// The fall-back: a completion port over node:net, for where the kernel offers none.

import type { Backend } from '../contract/driver.js';
import { openPoster, recoverPoster } from '../port/inbox.js';
import { closePostedQueue } from '../port/posted-queue.js';
import { openPortable } from './driver.js';
import { needsKernel } from './errors.js';

export const portableBackend: Backend = {
  name: 'portable',
  available: () => ({ available: true }),
  open: openPortable,
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
