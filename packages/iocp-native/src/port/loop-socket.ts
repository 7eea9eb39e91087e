// A socket of a LoopDriver. It performs its own operations, in callbacks of the event loop or of a simulation's clock.

import assert from 'node:assert';
import type { GatherList } from '../contract/gather-list.js';
import type { Endpoint, Overlapped, PipeEndpoint, SocketOptions } from '../contract/port.js';
import type { DatagramState } from './datagrams.js';
import type { LoopDriver } from './loop-driver.js';
import { type Kind, Socket } from './socket.js';

export abstract class LoopSocket<D extends LoopDriver = LoopDriver> extends Socket {
  readonly driver: D;
  /** Phase two of the close is done. Written by the driver. */
  handleClosed = false;

  constructor(driver: D, kind: Kind, datagrams: DatagramState | null = null) {
    super(driver.port, kind, -1, datagrams);
    this.driver = driver;
  }

  /** Nothing of the socket is with the system any more. */
  abstract get gone(): boolean;
  abstract cancel(event: Overlapped): void;
  /** Phase one of the close. The operations may end later; then the socket calls `port.proceed()`. */
  abstract close(reset: boolean): void;
  /** Follows close() when the port is destroyed: queues now the last packet of each operation that has none. */
  abstract abandon(): void;

  // The port has checked the kind of the socket, so each kind implements its own operations only.

  accept(_event: Overlapped): void {
    this.#lacks('accept');
  }

  connect(_event: Overlapped, _remote: Endpoint | PipeEndpoint, _options: SocketOptions): void {
    this.#lacks('connect');
  }

  receive(_event: Overlapped): void {
    this.#lacks('receive');
  }

  /** A receive buffer is free for this socket, which had found none. */
  deliver(): void {
    this.#lacks('deliver');
  }

  send(_event: Overlapped, _pieces: GatherList): void {
    this.#lacks('send');
  }

  sendTo(_event: Overlapped, _pieces: GatherList, _to: Endpoint | null): void {
    this.#lacks('sendTo');
  }

  sendFile(_event: Overlapped, _file: number, _offset: number, _length: number): void {
    this.#lacks('sendFile');
  }

  shutdown(): void {
    this.#lacks('shutdown');
  }

  #lacks(operation: string): never {
    assert.fail(`a socket of kind ${this.kind} has no ${operation}()`);
  }
}
