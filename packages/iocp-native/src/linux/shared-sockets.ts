// The socket calls of a thread of a shared port. All of them are non-blocking and done when they return, so no memory is the
// kernel's between two calls.

import { fstatSync } from 'node:fs';
import type { Endpoint, ListenOptions } from '../contract/port.js';
import { disown, Owned } from '../native/ledger.js';
import type { NativeBlock } from '../native/memory.js';
import type { SharedSockets } from '../shared-port/socket-contract.js';
import { byteOffsetOf, copyInto, memoryOf, plainView } from '../typed-arrays.js';
import { bindCalls } from './calls.js';
import { EAGAIN, EINTR, linuxPacketError } from './errors.js';
import { MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR, SOCK_NONBLOCK } from './layout.js';
import { close, errno, getpeername, getsockname, shutdown } from './libc.js';
import { linuxBlocks } from './memory.js';
import { createListener, endpointOf, setReset } from './sockets.js';

/** Bytes that one receive() takes at most, and that one call of the kernel is given to send. */
const PIECE = 65536;
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

export class LinuxSharedSockets implements SharedSockets {
  readonly received: Buffer;
  readonly #in = linuxBlocks.take(PIECE);
  readonly #out = linuxBlocks.take(PIECE, true);
  readonly #calls = bindCalls();

  constructor() {
    this.received = this.#in.bytes;
  }

  receive(fd: number): number {
    const { recv } = this.#calls;
    for (;;) {
      const count = recv(fd, this.#in.address, PIECE, MSG_DONTWAIT);
      if (count >= 0) return count;
      const code = errno();
      if (code !== EINTR) return -code;
    }
  }

  send(fd: number, bytes: Uint8Array, length: number): number {
    // Bytes that were just received lie where the kernel may read them.
    if (memoryOf(bytes) === this.received.buffer)
      return this.#sendAt(fd, this.#in.address + byteOffsetOf(bytes), length);
    let sent = 0;
    while (sent < length) {
      const size = Math.min(PIECE, length - sent);
      const piece = sent === 0 && size === length ? bytes : plainView(bytes, length).subarray(sent, sent + size);
      if (!copyInto(this.#out.bytes, 0, piece)) return sent;
      const count = this.#sendAt(fd, this.#out.address, size);
      if (count < 0) return sent === 0 ? count : sent;
      sent += count;
      if (count < size) break;
    }
    return sent;
  }

  sendBlock(fd: number, block: NativeBlock, offset: number, length: number): number {
    return this.#sendAt(fd, block.address + offset, length);
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

  readonly error = linuxPacketError;

  #sendAt(fd: number, address: number, length: number): number {
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
