// The socket calls of a thread of a shared port. The sockets do not wait, and these calls are no overlapped ones: they are done when
// they return and have no packet, so no memory is the kernel's between two calls.

import { isIocpError } from '../contract/errors.js';
import type { Endpoint, ListenOptions } from '../contract/port.js';
import { disown, Owned } from '../native/ledger.js';
import { BlockStore } from '../native/memory.js';
import { PIECE, PieceSockets } from '../shared-port/piece-sockets.js';
import { type SharedSockets, WOULD_BLOCK } from '../shared-port/socket-contract.js';
import { SD_SEND, WSAEWOULDBLOCK } from './constants.js';
import { win32PacketError } from './errors.js';
import { win32Memory } from './memory.js';
import { closeHandle, createListener, endpointOf, orClose } from './winsock.js';
import { getpeername, getsockname, recv, send, shutdown, WSAGetLastError } from './ws2_32.js';

const blocks = new BlockStore(win32Memory);

/** A listening socket for a shared port, and where it is bound. No ledger has it: its owner closes it. Throws an IocpError. */
export function listenWin32(local: Endpoint, options: ListenOptions): { fd: number; endpoint: Endpoint } {
  const fd = createListener(local, options);
  disown(Owned.Handle, fd);
  return orClose(fd, () => ({ fd, endpoint: endpointOf(fd, 'getsockname', getsockname) }));
}

export class Win32SharedSockets extends PieceSockets implements SharedSockets {
  readonly error = win32PacketError;
  readonly #recv = recv.bound();
  readonly #send = send.bound();

  constructor() {
    super(blocks);
  }

  receive(fd: number): number {
    const count = this.#recv(fd, this.into, PIECE, 0);
    if (count >= 0) return count;
    const code = WSAGetLastError();
    return code === WSAEWOULDBLOCK ? -WOULD_BLOCK : -code;
  }

  /** The client's address: no other connection to this server has the same at the same time. */
  mark(fd: number): number {
    try {
      const { address, port } = this.endpoint(fd, 'remote');
      let mark = port;
      for (let i = 0; i < address.length; i++) mark = Math.imul(mark, 31) + address.charCodeAt(i);
      return mark | 0;
    } catch (error) {
      if (isIocpError(error)) return 0;
      throw error;
    }
  }

  end(fd: number): void {
    // Fails when the peer has reset the connection, which the next receive() says.
    shutdown(fd, SD_SEND);
  }

  close(fd: number, reset: boolean): void {
    closeHandle(fd, reset);
  }

  endpoint(fd: number, which: 'remote' | 'local'): Endpoint {
    return which === 'remote' ? endpointOf(fd, 'getpeername', getpeername) : endpointOf(fd, 'getsockname', getsockname);
  }

  protected sendAt(fd: number, address: number, length: number): number {
    const count = this.#send(fd, address, length, 0);
    if (count >= 0) return count;
    const code = WSAGetLastError();
    return code === WSAEWOULDBLOCK ? 0 : -code;
  }
}
