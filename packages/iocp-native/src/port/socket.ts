// A socket of a port, as every driver has it. Drivers extend this class with fields for their kernel.

import assert from 'node:assert';
import { IocpError } from '../contract/errors.js';
import {
  type AnySocketOptions,
  datagramOptionChecks,
  type SocketOptionName,
  type SocketOptionValue,
  socketOptionChecks,
} from '../contract/options.js';
import type { CompletionPacket, Endpoint, Overlapped, PortSocket } from '../contract/port.js';
import type { Check } from '../options.js';
import type { DatagramState } from './datagrams.js';
import type { Port } from './port.js';

/** The kind of a socket. */
export const Kind = { Connection: 0, Listener: 1, Datagrams: 2 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** A packet of the queue comes from one: it is told when the packet is dequeued. */
export interface Origin {
  dequeued(packet: CompletionPacket): void;
}

const SHUT_DOWN = 1;
const CLOSING = 2;
const OWN_MEMORY = 4;
/** The first bit that a driver's socket may use; the others are to the left of it. */
export const FIRST_BIT = 8;

export abstract class Socket implements PortSocket, Origin {
  handle: number;
  key: unknown = undefined;
  pending = 0;
  /** Its slot in the port's table, and the generation of that slot: see SocketTable, which writes them. */
  index = -1;
  generation = 0;
  /** The operations in flight. The port writes these; the receive stream's event stays until its last packet is dequeued. */
  receiving: Overlapped | null = null;
  sending: Overlapped | null = null;
  connecting: Overlapped | null = null;
  /** All that is true or false of a socket, a bit each: a field for each would cost an idle connection 8 bytes. */
  #bits = 0;
  readonly port: Port<Socket>;
  readonly kind: Kind;
  /** Set for Kind.Datagrams only. */
  readonly datagrams: DatagramState | null;

  constructor(port: Port<Socket>, kind: Kind, handle = -1, datagrams: DatagramState | null = null) {
    assert((kind === Kind.Datagrams) === (datagrams !== null));
    this.port = port;
    this.kind = kind;
    this.handle = handle;
    this.datagrams = datagrams;
  }

  /** shutdown() was called. */
  get shutDown(): boolean {
    return this.has(SHUT_DOWN);
  }

  set shutDown(on: boolean) {
    this.mark(SHUT_DOWN, on);
  }

  /** close() was called. */
  get closing(): boolean {
    return this.has(CLOSING);
  }

  set closing(on: boolean) {
    this.mark(CLOSING, on);
  }

  get ownMemory(): boolean {
    return this.has(OWN_MEMORY);
  }

  set ownMemory(on: boolean) {
    this.mark(OWN_MEMORY, on);
  }

  abstract localEndpoint(): Endpoint;
  abstract remoteEndpoint(): Endpoint;
  /** Sets an option, which a socket of this kind has. `action` is for the error. Throws an IocpError. */
  protected abstract applyOption(name: SocketOptionName, value: SocketOptionValue, action: string): void;

  setOption<Name extends SocketOptionName>(name: Name, value: Required<AnySocketOptions>[Name]): void {
    const action = `set ${name}`;
    this.assertOpen(action, 'setsockopt');
    const checks: Partial<Record<SocketOptionName, Check>> =
      this.datagrams === null ? socketOptionChecks : datagramOptionChecks;
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) {
      throw new IocpError(action, 'a socket of this kind has no such option', 'ENOTSUP', 'setsockopt');
    }
    check(value, name);
    this.applyOption(name, value, action);
  }

  /** Its queued packets are the last ones of their operations. */
  dequeued(packet: CompletionPacket): void {
    this.port.finish(this, packet.event);
  }

  /** Whether a bit is set. Those from FIRST_BIT on are the driver's. */
  protected has(bit: number): boolean {
    return (this.#bits & bit) !== 0;
  }

  protected mark(bit: number, on: boolean): void {
    this.#bits = on ? this.#bits | bit : this.#bits & ~bit;
  }

  /** Throws an IocpError (EBADF) when close() was called. */
  protected assertOpen(action: string, syscall: string): void {
    if (this.closing) throw new IocpError(action, 'the socket is closed', 'EBADF', syscall);
  }
}
