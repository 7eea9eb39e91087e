// Whether real completion ports can serve here, and how to open one.

import type { Availability, Backend } from '../contract/driver.js';
import { koffi } from '../native/koffi.js';
import { BlockStore } from '../native/memory.js';
import { Gate } from '../port/gate.js';
import { Port } from '../port/port.js';
import { otherRuntime } from '../runtime.js';
import { IocpDriver } from './driver.js';
import { win32Error } from './errors.js';
import { assertWin32Layout } from './layout.js';
import { win32Memory } from './memory.js';
import { IocpPoster } from './poster.js';
import { reap } from './reaper.js';
import type { Win32Socket } from './socket.js';
import { endpointOf } from './winsock.js';
import { ConnectEx, closesocket, getpeername, WSAGetLastError, WSAStartup } from './ws2_32.js';

const WINSOCK_2_2 = 0x202;
const WSADATA_SIZE = 408;

/** The memory of this thread's ports. It outlives them, so that stale views stay harmless. */
const blocks = new BlockStore(win32Memory);

let known: Availability | undefined;

export const win32Backend: Backend = {
  name: 'iocp',
  available() {
    known ??= probe();
    return known;
  },
  open: (options) =>
    new Port<Win32Socket>({ backend: 'iocp', native: true, blocks, driver: (port) => new IocpDriver(port) }, options),
  openPoster: (token) => new IocpPoster(token),
  closeQueue: (token) => new Gate(token.queue!).close(),
  reap,
  // No thread holds a lock of the kernel's queue.
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
    // It throws for a provider without the extension functions.
    ConnectEx.bound();
    return { available: true };
  } catch (error) {
    // Also an AssertionError: a structure has another layout than layout.ts says.
    return { available: false, reason: (error as Error).message };
  }
}
