// What a socket and a listener of a simulated port have in common, and what both need of their port.

import { IocpError } from '../contract/errors.js';
import type { CompletionPacket, Endpoint, Operation, Overlapped, PortSocket } from '../contract/port.js';
import type { ReceiveBuffers } from '../port/receive-buffers.js';
import type { Network } from './network.js';
import type { World } from './world.js';

/** The port, as its sockets see it. */
export interface Host {
  readonly world: World;
  readonly network: Network;
  readonly buffers: ReceiveBuffers;
  /** Counts an operation in flight; `event` is null for Shutdown and Close. */
  start(owner: SimulatedHandle, event: Overlapped | null): void;
  /** Queues a packet with the key and the socket of its owner. Unless `last` is false, it ends an operation of the owner. */
  queue(
    operation: Operation,
    owner: SimulatedHandle,
    event: Overlapped | null,
    error: IocpError | null,
    last?: boolean,
  ): CompletionPacket;
  /** Something of a handle completes in up to so many milliseconds. It is dropped when the handle has closed by then. */
  complete(most: number, handle: SimulatedHandle, run: () => void): void;
  /** A free receive buffer, or -1: then the socket's deliver() is called when one is free. */
  takeSlot(socket: Starving): number;
  /** The socket does not wait for a buffer any more. */
  forget(socket: Starving): void;
  /** Gives the handle a slot. */
  opened(handle: SimulatedHandle): void;
  /** Takes the slot back, and queues the Close packet. */
  closed(handle: SimulatedHandle): void;
}

/** A socket with bytes at hand that waits for a receive buffer. */
export interface Starving {
  deliver(): void;
}

/** A handle in a slot of its port's table, which serves another when this one has closed. */
export abstract class SimulatedHandle implements PortSocket {
  /** What a detached listener named it by; -1 for what never had a number. */
  handle = -1;
  key: unknown = undefined;
  pending = 0;
  /** close() was called. */
  closing = false;
  /** Its place in the port's table, and a number that no other handle of the port has. */
  slot = -1;
  generation = 0;
  readonly host: Host;
  #reset = false;

  constructor(host: Host) {
    this.host = host;
    host.opened(this);
  }

  abstract localEndpoint(): Endpoint;
  abstract remoteEndpoint(): Endpoint;
  abstract cancel(event: Overlapped): void;
  /** Cancels what is in flight: each operation gives its packet. */
  abstract cancelAll(): void;
  /** Nothing is in flight: gives up what is left with the network. */
  abstract release(reset: boolean): void;

  /** The last packet of an operation has been dequeued. */
  finished(_operation: Operation): void {
    this.proceed();
  }

  /** The first phase. */
  close(reset: boolean): void {
    this.closing = true;
    this.#reset = reset;
    this.host.start(this, null);
    this.cancelAll();
    this.proceed();
  }

  /** The close cuts a send short, which makes it a reset: no peer may take what is left for the whole. */
  protected cutShort(): void {
    this.#reset = true;
  }

  /** The second phase, as soon as nothing is in flight but the close. */
  proceed(): void {
    if (!this.closing || this.pending !== 1) return;
    const { world } = this.host;
    this.host.complete(world.faults.completion, this, () => {
      this.release(this.#reset);
      this.host.closed(this);
    });
  }

  setNoDelay(_on: boolean): void {
    this.checkOpen('set TCP_NODELAY', 'setsockopt');
  }

  setKeepAlive(_seconds: number): void {
    this.checkOpen('set SO_KEEPALIVE', 'setsockopt');
  }

  protected checkOpen(action: string, syscall: string): void {
    if (this.closing) throw new IocpError(action, 'the socket is closed', 'EBADF', syscall);
  }
}
