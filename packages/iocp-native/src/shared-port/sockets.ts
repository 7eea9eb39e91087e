// Ports of sockets that several threads wait on: made once, opened by each thread. Which kernel brings them is decided here.

import type { BackendName, Endpoint, ListenOptions } from '../contract/port.js';
import { LinuxSharedSockets, listenLinux } from '../linux/shared-sockets.js';
import { createEpollPort, destroyEpollPort, EpollPort, type EpollPortToken } from './epoll-port.js';
import type { SharedSockets, SocketPort } from './socket-contract.js';

/** What other threads need to open a port of sockets. It can be sent to a worker as it is. */
export type SocketPortToken = EpollPortToken;

/** How a port of sockets is made. */
export interface SocketPortOptions {
  /** How many threads run at a time. */
  readonly concurrency: number;
  /** Posted packets that the port holds, a power of two, where the kernel does not see to that. */
  readonly posts: number;
}

/** Whether threads can wait on one port for the sockets of a backend. */
export function hasSocketPort(_backend: BackendName): boolean {
  return process.platform === 'linux';
}

/** Throws an IocpError. */
export function createSocketPort({ concurrency, posts }: SocketPortOptions): SocketPortToken {
  return createEpollPort(concurrency, posts);
}

/** The calling thread's view of a port that any thread made, and its calls of sockets. */
export function openSocketPort(token: SocketPortToken): { port: SocketPort; sockets: SharedSockets } {
  return { port: new EpollPort(token), sockets: new LinuxSharedSockets() };
}

/** Gives back what the kernel holds for a port. No thread may use it any more. */
export function destroySocketPort(token: SocketPortToken): void {
  destroyEpollPort(token);
}

/** A listening socket for a shared port, and where it is bound. No ledger has it: its owner closes it. Throws an IocpError. */
export function listenShared(local: Endpoint, options: ListenOptions): { fd: number; endpoint: Endpoint } {
  return listenLinux(local, options);
}
