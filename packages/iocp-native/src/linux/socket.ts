// A socket of a port of Linux: its addresses and options, which are ordinary system calls.

import type { Endpoint, KeepAlive } from '../contract/port.js';
import { Socket } from '../port/socket.js';
import { IPPROTO_TCP, TCP_NODELAY } from './layout.js';
import { getpeername, getsockname } from './libc.js';
import { applyKeepAlive, endpointOf, setOption } from './sockets.js';

export abstract class LinuxSocket extends Socket {
  localEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getsockname', getsockname);
  }

  remoteEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getpeername', getpeername);
  }

  setNoDelay(on: boolean): void {
    setOption(this.handle, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0, 'set TCP_NODELAY');
  }

  setKeepAlive(keepAlive: number | KeepAlive): void {
    applyKeepAlive(this.handle, keepAlive, 'set SO_KEEPALIVE');
  }
}
