// A socket of a port of Linux: its addresses and options, which are ordinary system calls.

import type { SocketOptionName, SocketOptionValue } from '../contract/options.js';
import type { Endpoint } from '../contract/port.js';
import { Socket } from '../port/socket.js';
import { getpeername, getsockname } from './libc.js';
import { applyOption } from './socket-options.js';
import { endpointOf } from './sockets.js';

export abstract class LinuxSocket extends Socket {
  localEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getsockname', getsockname);
  }

  remoteEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getpeername', getpeername);
  }

  protected override applyOption(name: SocketOptionName, value: SocketOptionValue, action: string): void {
    applyOption(this.handle, name, value, action);
  }
}
