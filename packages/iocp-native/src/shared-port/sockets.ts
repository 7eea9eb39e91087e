// Ports of sockets that several threads wait on: made once, opened by each thread. Which kernel brings them is decided here.

import type { BackendName, Endpoint, ListenOptions } from '../contract/port.js';
import { LinuxSharedSockets, listenLinux } from '../linux/shared-sockets.js';
import { listenWin32, Win32SharedSockets } from '../win32/shared-sockets.js';
import { createEpollPort, destroyEpollPort, EpollPort, type EpollPortToken } from './epoll-port.js';
import { createIocpPort, destroyIocpPort, IocpPort, type IocpPortToken } from './iocp-port.js';
import type { SharedSockets, SocketPort } from './socket-contract.js';

/** The handle for other threads to open a port of sockets. It can be sent to a worker as it is. */
export type SocketPortToken = EpollPortToken | IocpPortToken;

/** How a port of sockets is made. */
export interface SocketPortOptions {
  /** How many threads run at a time. */
  readonly concurrency: number;
  /** Posted packets that the port holds, a power of two. A port of the kernel has no limit. */
  readonly posts: number;
  /** The most sessions, and the most services. */
  readonly records: number;
  readonly services: number;
}

const windows = process.platform === 'win32';

/** Whether threads can wait on one port for the sockets of a backend. */
export function hasSocketPort(backend: BackendName): boolean {
  return windows ? backend === 'iocp' : process.platform === 'linux';
}

/** Throws an IocpError. */
export function createSocketPort({ concurrency, posts, records, services }: SocketPortOptions): SocketPortToken {
  return windows ? createIocpPort(concurrency, records, services) : createEpollPort(concurrency, posts);
}

/** The calling thread's view of a port that any thread made, and its calls of sockets. */
export function openSocketPort(token: SocketPortToken): { port: SocketPort; sockets: SharedSockets } {
  if (token.kind === 'iocp') return { port: new IocpPort(token), sockets: new Win32SharedSockets() };
  return { port: new EpollPort(token), sockets: new LinuxSharedSockets() };
}

/** Gives back the kernel's resources of a port. All its sockets are closed, and no thread may use it any more. */
export function destroySocketPort(token: SocketPortToken): void {
  if (token.kind === 'iocp') destroyIocpPort(token);
  else destroyEpollPort(token);
}

/** A listening socket for a shared port, and where it is bound. No ledger has it: its owner closes it. Throws an IocpError. */
export function listenShared(local: Endpoint, options: ListenOptions): { fd: number; endpoint: Endpoint } {
  return windows ? listenWin32(local, options) : listenLinux(local, options);
}
