// What a socket and a listener have in common, and what both need of their port.

import type { IocpError } from '../contract/errors.js';
import type { CompletionPacket, Endpoint, KeepAlive, Operation, Overlapped, PortSocket } from '../contract/port.js';
import type { ReceiveBuffers } from '../port/receive-buffers.js';

/** The port, as its sockets see it. */
export interface Host {
  readonly buffers: ReceiveBuffers;
  /** Counts an operation in flight; `event` is null for Shutdown and Close. */
  start(owner: PortableHandle, event: Overlapped | null): void;
  /**
   * Queues a packet with the key and the socket of its owner, to be completed at once by the caller. Unless `last`
   * is false, it ends an operation of the owner.
   */
  queue(
    operation: Operation,
    owner: PortableHandle,
    event: Overlapped | null,
    error: IocpError | null,
    last?: boolean,
  ): CompletionPacket;
  /** A free receive buffer, or -1: then the socket's deliver() is called when one is free. */
  takeSlot(socket: Starving): number;
  /** The socket does not wait for a buffer any more. */
  forget(socket: Starving): void;
  opened(handle: PortableHandle): void;
  /** The handle is closed: nothing of it is with the system any more. */
  gone(handle: PortableHandle): void;
}

/** A socket with bytes at hand that waits for a receive buffer. */
export interface Starving {
  deliver(): void;
}

export abstract class PortableHandle implements PortSocket {
  /** node:net shows no number. */
  readonly handle = -1;
  key: unknown = undefined;
  pending = 0;
  /** close() was called. */
  closing = false;
  readonly host: Host;

  constructor(host: Host) {
    this.host = host;
  }

  abstract localEndpoint(): Endpoint;
  abstract remoteEndpoint(): Endpoint;
  abstract setNoDelay(on: boolean): void;
  abstract setKeepAlive(keepAlive: number | KeepAlive): void;
  abstract cancel(event: Overlapped): void;
  /** Starts the close; the packets of what is in flight and the Close packet follow. */
  abstract close(reset: boolean): void;
  /** Closes without a packet, because the port goes. Calls host.gone() when it is done. */
  abstract abandon(): void;
}
