// The socket calls of a thread of a shared port. All of them are non-blocking and done when they return, so no memory is the
// kernel's between two calls.

import { fstatSync } from 'node:fs';
import type { Endpoint, ListenOptions } from '../contract/port.js';
import { disown, Owned } from '../native/ledger.js';
import { PIECE, PieceSockets } from '../shared-port/piece-sockets.js';
import type { SharedSockets } from '../shared-port/socket-contract.js';
import { bindCalls } from './calls.js';
import { EAGAIN, EINTR, linuxPacketError } from './errors.js';
import { MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR, SOCK_NONBLOCK } from './layout.js';
import { close, errno, getpeername, getsockname, shutdown } from './libc.js';
import { linuxBlocks } from './memory.js';
import { createListener, endpointOf, setReset } from './sockets.js';

const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

/** A listening socket for a shared port, and where it is bound. No ledger has it: its owner closes it. Throws an IocpError. */
export function listenLinux(local: Endpoint, options: ListenOptions): { fd: number; endpoint: Endpoint } {
  const fd = createListener(local, options, SOCK_NONBLOCK);
  disown(Owned.Handle, fd);
  try {
    return { fd, endpoint: endpointOf(fd, 'getsockname', getsockname) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

export class LinuxSharedSockets extends PieceSockets implements SharedSockets {
  readonly error = linuxPacketError;
  readonly #calls = bindCalls();

  constructor() {
    super(linuxBlocks);
  }

  receive(fd: number): number {
    const { recv } = this.#calls;
    for (;;) {
      const count = recv(fd, this.into, PIECE, MSG_DONTWAIT);
      if (count >= 0) return count;
      const code = errno();
      if (code !== EINTR) return -code;
    }
  }

  mark(fd: number): number {
    try {
      return fstatSync(fd).ino | 0;
    } catch {
      return 0;
    }
  }

  end(fd: number): void {
    // Fails when the peer has reset the connection, which the next receive() says.
    shutdown(fd, SHUT_WR);
  }

  close(fd: number, reset: boolean): void {
    if (reset) setReset(fd);
    close(fd);
  }

  endpoint(fd: number, which: 'remote' | 'local'): Endpoint {
    return which === 'remote' ? endpointOf(fd, 'getpeername', getpeername) : endpointOf(fd, 'getsockname', getsockname);
  }

  protected sendAt(fd: number, address: number, length: number): number {
    const { send } = this.#calls;
    for (;;) {
      const count = send(fd, address, length, FLAGS);
      if (count >= 0) return count;
      const code = errno();
      if (code === EAGAIN) return 0;
      if (code !== EINTR) return -code;
    }
  }
}
