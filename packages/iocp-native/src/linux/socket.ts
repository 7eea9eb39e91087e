// A socket of a port of Linux: its addresses and options, which are ordinary system calls, and how much it receives.

import type { SocketOptionName, SocketOptionValue } from '../contract/options.js';
import type { Endpoint } from '../contract/port.js';
import { FIRST_BIT, Socket } from '../port/socket.js';
import { getpeername, getsockname } from './libc.js';
import { applyOption } from './socket-options.js';
import { endpointOf } from './sockets.js';

const MUCH = FIRST_BIT;
const LITTLE = FIRST_BIT << 1;
/** The first bit that a socket of one driver may use. */
export const FIRST_DRIVER_BIT = FIRST_BIT << 2;

export abstract class LinuxSocket extends Socket {
  /** The next receive is into memory of the message's own: the owner wishes that, and much has come lately. */
  get receivesMuch(): boolean {
    return this.has(MUCH) && this.ownMemory;
  }

  /** A receive buffer has come full. */
  filledBuffer(): void {
    this.mark(MUCH, true);
    this.mark(LITTLE, false);
  }

  /** A receive into own memory brought so many bytes. If two of them fit a receive buffer, the next receive is into one again. */
  broughtOwn(bytes: number, bufferSize: number): void {
    const little = bytes <= bufferSize;
    if (little && this.has(LITTLE)) this.mark(MUCH, false);
    this.mark(LITTLE, little);
  }

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
