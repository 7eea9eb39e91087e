// Whether real completion ports can serve here, and how to open one.

import type { Availability, Backend } from '../contract/driver.js';
import { koffi } from '../native/koffi.js';
import { Gate } from '../port/gate.js';
import { otherRuntime } from '../runtime.js';
import { win32Error } from './errors.js';
import { assertWin32Layout } from './layout.js';
import { IocpPort } from './port.js';
import { IocpPoster } from './poster.js';
import { reap } from './reaper.js';
import { endpointOf } from './socket.js';
import { ConnectEx, closesocket, getpeername, WSAGetLastError, WSAStartup } from './ws2_32.js';

const WINSOCK_2_2 = 0x202;
const WSADATA_SIZE = 408;

let known: Availability | undefined;

export const win32Backend: Backend = {
  name: 'iocp',
  available() {
    known ??= probe();
    return known;
  },
  open: (options) => new IocpPort(options),
  openPoster: (token) => new IocpPoster(token),
  closeQueue: (token) => new Gate(token.queue!).close(),
  reap,
  // Nobody holds the kernel's own queue.
  recoverPoster() {},
  remoteEndpointOf: (handle) => endpointOf(handle, 'getpeername', getpeername),
  closeHandle(handle) {
    if (closesocket(handle) !== 0) throw win32Error('close a connection', 'closesocket', WSAGetLastError());
  },
};

function probe(): Availability {
  if (process.platform !== 'win32') return { available: false, reason: 'this is not Windows' };
  const runtime = otherRuntime();
  if (runtime) return { available: false, reason: runtime };
  try {
    if (koffi().sizeof('void *') !== 8) return { available: false, reason: 'this is not a 64-bit process' };
    assertWin32Layout();
    const errno = WSAStartup(WINSOCK_2_2, Buffer.alloc(WSADATA_SIZE));
    if (errno !== 0) throw win32Error('start Winsock', 'WSAStartup', errno);
    // A provider without the extension functions is of no use.
    ConnectEx.bound();
    return { available: true };
  } catch (error) {
    // An AssertionError, too: of a structure that does not lie in memory as layout.ts says.
    return { available: false, reason: (error as Error).message };
  }
}
