// Whether epoll can serve here: it is tried once.

import type { Availability, Backend } from '../../contract/driver.js';
import type { PortOptions } from '../../contract/port.js';
import { Port } from '../../port/port.js';
import { assertLinuxLayout } from '../abi.js';
import { linuxHandles, unavailable, whyNotLinux } from '../backend.js';
import { linuxBlocks } from '../memory.js';
import { closeAtThreadEnd } from '../thread-end.js';
import { EpollDriver } from './driver.js';
import type { EpollSocket } from './socket.js';

let known: Availability | undefined;

export const epollBackend: Backend = {
  name: 'epoll',
  available() {
    known ??= probe();
    return known;
  },
  open(options) {
    closeAtThreadEnd();
    return openEpoll(options);
  },
  ...linuxHandles,
};

function openEpoll(options: Required<PortOptions>): Port<EpollSocket> {
  const driver = (port: Port<EpollSocket>) => new EpollDriver(port);
  return new Port({ backend: 'epoll', native: true, blocks: linuxBlocks, driver }, options);
}

/** Opens a port for a moment. Never throws. */
function probe(): Availability {
  const reason = whyNotLinux('epoll');
  if (reason !== undefined) return unavailable(reason);
  try {
    assertLinuxLayout();
    openEpoll({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } }).destroy();
    return { available: true };
  } catch (error) {
    // An AssertionError, too: of a structure that does not lie in memory as layout.ts says.
    return unavailable((error as Error).message);
  }
}
