// Session: one connection. It owns a socket, its receive stream and its send queue, and turns their packets into calls
// of its handlers. Use it by subclassing, or through an object of handlers (handlers.ts).

import {
  type CompletionPacket,
  type Endpoint,
  type IocpError,
  isIocpError,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import { type CompletionOwner, type Exchange, Figure, type Flushable, type IocpCore } from '@overlapped/net-core';
import type { IocpEvent } from '@overlapped/object-pool';
import { broadcast, groupsOf } from './groups.js';
import { asError, isThenable, warn } from './outcomes.js';
import { SendQueue } from './send-queue.js';
import type { SessionHost } from './session-set.js';
import { CLOSING, CONGESTED, DIRTY, ENDING, OPENED, PAUSED, PEER_ENDED, SHUT } from './session-state.js';

type SessionEvent = IocpEvent<CompletionOwner>;

// Where the core's figures lie.
const { bytesReceived: RECEIVED, bytesSent: SENT, skipped: SKIPPED } = Figure;

let openSession: (session: Session, core: IocpCore, socket: PortSocket, host: SessionHost) => void;
let sendMessage: (session: Session, exchange: Exchange, message: number, offset: number, length: number) => void;

/**
 * One TCP connection. Override what you need; all of it runs on the thread of the core. A handler that throws, or whose
 * promise rejects, closes its own session with that error.
 */
export class Session implements CompletionOwner, Flushable {
  /** Bytes that onReceive has been given. */
  bytesReceived = 0;
  /** Bytes that the kernel has taken to send. */
  bytesSent = 0;
  #state = 0;
  #core: IocpCore | null = null;
  #socket: PortSocket | null = null;
  #host: SessionHost | null = null;
  #receiveEvent: SessionEvent | null = null;
  #sendEvent: SessionEvent | null = null;
  #queue: SendQueue | null = null;
  /** Copies of what came while the session was paused: no slow session keeps receive buffers from the others. */
  #held: Buffer[] | null = null;
  #error: Error | undefined = undefined;
  #groups: Set<string> | null = null;

  static {
    openSession = (session, core, socket, host) => session.#open(core, socket, host);
    sendMessage = (session, ...message) => session.#sendMessage(...message);
  }

  /** The connection is there. Nothing has been received yet. */
  onConnected(): unknown {
    return undefined;
  }

  /**
   * Bytes have come. `data` is borrowed: it is good until this returns, or, in an async handler, until its first await.
   * send(data) keeps it; anything else that needs it later must copy it.
   */
  onReceive(_data: Buffer): unknown {
    return undefined;
  }

  /** A send has completed: the kernel has taken `bytes` more. */
  onSend(_bytes: number): unknown {
    return undefined;
  }

  /** After a send() that said false: what waits has fallen to the low watermark. */
  onDrain(): unknown {
    return undefined;
  }

  /**
   * The session is over; no other handler runs after this one. `error` is why, unless it ended in order: an IocpError,
   * what a handler threw, or what destroy() was given.
   */
  onDisconnected(_error?: Error): unknown {
    return undefined;
  }

  /**
   * Queues bytes. Everything that was queued by the end of the handler goes in one operation. Bytes of up to 16,384 are
   * copied (or kept, if borrowed) at once; a larger array is the session's until it is sent, and must not change.
   * False when the queue is above the high watermark (the bytes are queued all the same; wait for onDrain), or when the
   * session takes no more (`writable` is false; the bytes are dropped).
   */
  send(data: Uint8Array | string): boolean {
    if ((this.#state & (OPENED | ENDING | CLOSING)) !== OPENED) return false;
    this.#queue ??= new SendQueue(this.#core!);
    const queue = this.#queue;
    queue.push(typeof data === 'string' ? Buffer.from(data) : data);
    this.#flushSoon();
    if (queue.bytes <= this.#host!.highWatermark) return true;
    this.#state |= CONGESTED;
    return false;
  }

  /** Joins a group, until it leaves or is over: broadcast() to it reaches this session, too. */
  join(group: string): void {
    if ((this.#state & OPENED) === 0) return;
    this.#groups ??= new Set();
    this.#groups.add(group);
    groupsOf(this.#core!).join(this, group);
  }

  /** Leaves a group. Harmless when it is not in it. */
  leave(group: string): void {
    if (this.#groups?.delete(group)) groupsOf(this.#core!).leave(this, group);
  }

  /** {@link broadcast} from the server of this session; also to itself. */
  broadcast(data: Uint8Array | string, group?: string): boolean {
    return (this.#state & OPENED) !== 0 && broadcast(this.#core!, data, group);
  }

  /** Whether send() takes bytes. */
  get writable(): boolean {
    return (this.#state & (OPENED | ENDING | CLOSING)) === OPENED;
  }

  /** Bytes that wait to be sent or are being sent. */
  get bytesQueued(): number {
    return this.#queue?.bytes ?? 0;
  }

  /** Stops onReceive; the kernel's window then holds the peer back. What has come already is kept. */
  pause(): void {
    if ((this.#state & (PAUSED | CLOSING)) !== 0) return;
    this.#state |= PAUSED;
    if (this.#receiveEvent !== null) this.#core!.port.cancel(this.#socket!, this.#receiveEvent);
  }

  /** Undoes pause(). onReceive is not called before this returns. */
  resume(): void {
    if ((this.#state & PAUSED) === 0) return;
    this.#state &= ~PAUSED;
    if ((this.#state & CLOSING) === 0) this.#flushSoon();
  }

  /** Sends `data` and all that waits, then half-closes. The session closes when the peer has ended too. */
  end(data?: Uint8Array | string): void {
    if (data !== undefined) this.send(data);
    if ((this.#state & (OPENED | ENDING | CLOSING)) !== OPENED) return;
    this.#state |= ENDING;
    this.#flushSoon();
  }

  /** Closes at once: what waits is dropped and the peer sees a reset. `error` goes to onDisconnected. */
  destroy(error?: Error): void {
    if ((this.#state & (OPENED | CLOSING)) === OPENED) this.#close(error, true);
  }

  /** The peer's end. Addresses are asked of the OS when first needed; undefined once the connection is gone. */
  get remote(): Endpoint | undefined {
    return this.#endpoint(() => this.#socket!.remoteEndpoint());
  }

  /** This end. */
  get local(): Endpoint | undefined {
    return this.#endpoint(() => this.#socket!.localEndpoint());
  }

  /** The peer's IP address. */
  get remoteAddress(): string | undefined {
    return this.remote?.address;
  }

  /** The peer's port. */
  get remotePort(): number | undefined {
    return this.remote?.port;
  }

  /** The IP address of this end. */
  get localAddress(): string | undefined {
    return this.local?.address;
  }

  /** The port of this end. */
  get localPort(): number | undefined {
    return this.local?.port;
  }

  /** For the core: a packet of one of this session's operations. @internal */
  onCompletion(packet: CompletionPacket): void {
    switch (packet.operation) {
      case Operation.Receive:
        if (packet.data !== null) this.#received(packet.data, packet.buffer);
        else this.#receiveEnded(packet.error);
        break;
      case Operation.Send:
        this.#sent(packet.bytes, packet.error);
        break;
      case Operation.Shutdown:
        this.#shutDown(packet.error);
        break;
      case Operation.Close:
        this.#closed();
        break;
    }
  }

  /** For the core: does what was put off to the end of the batch. @internal */
  flush(): void {
    this.#state &= ~DIRTY;
    if (this.#held !== null) this.#deliverHeld();
    if ((this.#state & CLOSING) !== 0) return;
    if ((this.#state & (PAUSED | PEER_ENDED)) === 0 && this.#receiveEvent === null) this.#receive();
    if (this.#sendEvent !== null) return;
    if (this.#queue !== null && !this.#queue.idle) this.#startSend();
    else if (this.#held === null) this.#finish();
  }

  #open(core: IocpCore, socket: PortSocket, host: SessionHost): void {
    this.#core = core;
    this.#socket = socket;
    this.#host = host;
    this.#state = OPENED;
    socket.key = this;
    if (host.group !== null) this.join(host.group);
    try {
      this.#follow(this.onConnected());
    } catch (error) {
      this.destroy(asError(error));
    }
    if ((this.#state & (PAUSED | CLOSING)) === 0) this.#receive();
  }

  #receive(): void {
    const event = this.#core!.events.acquire(this, Operation.Receive);
    if (event === null) throw new Error('the event pool is smaller than its sessions need');
    this.#receiveEvent = event;
    this.#core!.port.receive(this.#socket!, event);
  }

  #received(data: Buffer, buffer: number): void {
    const core = this.#core!;
    if ((this.#state & (PAUSED | CLOSING)) === 0 && this.#held === null) {
      core.delivered = data;
      core.deliveredBuffer = buffer;
      this.#deliver(data);
      core.delivered = null;
      core.deliveredBuffer = -1;
    } else if ((this.#state & CLOSING) === 0) {
      this.#held ??= [];
      this.#held.push(Buffer.from(data));
    }
    core.port.release(buffer);
  }

  #deliver(data: Buffer): void {
    this.bytesReceived += data.length;
    this.#core!.board.values[RECEIVED]! += data.length;
    try {
      const result = this.onReceive(data);
      if (result !== undefined) this.#follow(result);
    } catch (error) {
      this.destroy(asError(error));
    }
  }

  #deliverHeld(): void {
    const held = this.#held!;
    while (held.length > 0 && (this.#state & (PAUSED | CLOSING)) === 0) this.#deliver(held.shift()!);
    if (held.length === 0) this.#held = null;
  }

  /** The last packet of the receive stream: the peer's FIN, pause(), or a failure. */
  #receiveEnded(error: IocpError | null): void {
    this.#core!.events.release(this.#receiveEvent!);
    this.#receiveEvent = null;
    if ((this.#state & CLOSING) !== 0) return;
    if (error === null) this.#state |= PEER_ENDED;
    else if (error.code !== 'ECANCELED') this.#close(error, true);
    this.#flushSoon();
  }

  #startSend(): void {
    const pieces = this.#queue!.gather();
    if (pieces === null) {
      this.#core!.awaitSendBuffer(this);
      return;
    }
    const event = this.#core!.events.acquire(this, Operation.Send);
    if (event === null) throw new Error('the event pool is smaller than its sessions need');
    this.#sendEvent = event;
    this.#core!.port.send(this.#socket!, event, pieces);
  }

  #sent(bytes: number, error: IocpError | null): void {
    const queue = this.#queue!;
    this.#core!.events.release(this.#sendEvent!);
    this.#sendEvent = null;
    this.bytesSent += bytes;
    this.#core!.board.values[SENT]! += bytes;
    queue.sent();
    if ((this.#state & CLOSING) !== 0) return;
    if (error !== null) {
      this.#close(error, true);
      return;
    }
    if (!queue.idle || (this.#state & (ENDING | PEER_ENDED)) !== 0) this.#flushSoon();
    try {
      const result = this.onSend(bytes);
      if (result !== undefined) this.#follow(result);
      if ((this.#state & CONGESTED) !== 0 && queue.bytes <= this.#host!.lowWatermark) {
        this.#state &= ~CONGESTED;
        this.#follow(this.onDrain());
      }
    } catch (thrown) {
      this.destroy(asError(thrown));
    }
  }

  /** Everything is sent and delivered: takes the next step of ending, if there is one. */
  #finish(): void {
    if ((this.#state & PEER_ENDED) !== 0) {
      this.#close(undefined, false);
    } else if ((this.#state & (ENDING | SHUT)) === ENDING) {
      this.#state |= SHUT;
      this.#core!.port.shutdown(this.#socket!);
    }
  }

  #shutDown(error: IocpError | null): void {
    if ((this.#state & CLOSING) !== 0) return;
    // ENOTCONN: the peer has reset the connection meanwhile, which the receive stream tells better.
    if (error !== null && error.code !== 'ENOTCONN') this.#close(error, true);
  }

  #close(error: Error | undefined, reset: boolean): void {
    this.#state |= CLOSING;
    this.#error = error;
    this.#queue?.discard();
    this.#held = null;
    this.#core!.port.close(this.#socket!, reset);
  }

  #sendMessage(exchange: Exchange, message: number, offset: number, length: number): void {
    if (!this.writable) return;
    this.#queue ??= new SendQueue(this.#core!);
    if (this.#queue.bytes > this.#host!.highWatermark) {
      this.#core!.board.values[SKIPPED]!++;
      return;
    }
    this.#queue.pushMessage(exchange, message, offset, length);
    this.#flushSoon();
  }

  #closed(): void {
    for (const group of this.#groups ?? []) this.leave(group);
    this.#host!.closed(this);
    this.#state &= ~OPENED;
    try {
      const result = this.onDisconnected(this.#error);
      if (isThenable(result)) result.then(undefined, warn);
    } catch (error) {
      warn(error);
    }
  }

  /** A handler's promise may reject: that closes the session, too. */
  #follow(result: unknown): void {
    if (isThenable(result)) result.then(undefined, (error: unknown) => this.destroy(asError(error)));
  }

  #flushSoon(): void {
    if ((this.#state & DIRTY) !== 0) return;
    this.#state |= DIRTY;
    this.#core!.flushSoon(this);
  }

  #endpoint(ask: () => Endpoint): Endpoint | undefined {
    if ((this.#state & OPENED) === 0) return undefined;
    try {
      return ask();
    } catch (error) {
      if (isIocpError(error)) return undefined;
      throw error;
    }
  }
}

export { openSession, sendMessage };
