// DatagramSession: one UDP socket, bound (many peers) or connected (one peer). It owns the socket and its receive stream, and
// calls handlers for their packets. Users subclass it, or give an object of handlers.
//
//   bind() or connect() -> onMessage, onMessage ... -> destroy() or an error -> onDisconnected(error?)

import assert from 'node:assert';
import { AsyncResource } from 'node:async_hooks';
import {
  type CompletionPacket,
  type DatagramOptions,
  type DatagramSocketOptions,
  type Endpoint,
  endpoint,
  IocpError,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import { lengthOf } from '@overlapped/iocp-native/internal';
import type { IocpCore, Stoppable } from '@overlapped/net-core';
import { type CompletionOwner, type Core, internalsOf, onCompletion } from '@overlapped/net-core/internal';
import type { IocpEvent } from '@overlapped/object-pool';
import { endBorrow, startBorrow } from '../borrowed.js';
import { bytesOf } from '../bytes.js';
import { report, warn } from '../failures.js';
import { addressOf, openLocal } from '../hosts.js';
import { checkBind, checkDatagramTarget, checkKind } from '../options.js';
import { asError, isThenable } from '../outcomes.js';
import { ignored } from '../reset.js';
import { datagramOptions } from '../socket-options.js';
import { Stat } from '../stats.js';
import { DatagramSender, MAX_MESSAGE } from './datagram-sender.js';

/** Handlers of a datagram session; see DatagramSession for each. `session` is the session that calls. */
export interface DatagramHandlers {
  /** See {@link DatagramSession.onMessage}: `data` is borrowed. */
  onMessage?(session: DatagramSession, data: Buffer, from: Endpoint): unknown;
  /** See {@link DatagramSession.onDisconnected}. */
  onDisconnected?(session: DatagramSession, error?: Error): unknown;
}

interface KindOption<Kind extends DatagramSession = DatagramSession> {
  /** The handlers of the session: a subclass of DatagramSession, or an object of handlers. */
  readonly session: (new () => Kind) | DatagramHandlers;
}

/** A socket that receives from any peer. */
export interface DatagramBindOptions<Kind extends DatagramSession = DatagramSession>
  extends KindOption<Kind>,
    DatagramSocketOptions {
  /** 0 chooses a free port: see `session.local`. */
  readonly port: number;
  /** A name or an address. Default `::`, which has IPv4 peers too; `0.0.0.0` on a system without IPv6. */
  readonly host?: string;
}

/** A socket with one peer. */
export interface DatagramConnectOptions<Kind extends DatagramSession = DatagramSession>
  extends KindOption<Kind>,
    Omit<DatagramSocketOptions, 'broadcast'> {
  /** A name or an address. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** Counters since the session opened. */
export interface DatagramStats {
  /** Messages given to onMessage. */
  received: number;
  /** Messages that the kernel has taken to send. */
  sent: number;
  /** Messages that send() dropped: too many were in flight, or no send buffer was free. */
  dropped: number;
  /** Messages that the kernel refused to send: no route, too large for the network ... */
  failed: number;
  /** Received messages of more than 8192 bytes, which were dropped. */
  truncated: number;
}

/** How often connect() tries to get a local port other than the peer's. */
const MAX_BINDS = 16;

const { bytesReceived: RECEIVED, bytesSent: SENT } = Stat;

/**
 * One UDP socket. Override the handlers that you need. All of them run on the thread of the core. A handler that throws, or whose
 * promise rejects, drops its message, and the session goes on, since any host may have sent that message. The error is counted
 * (`failed` of the core's statistics), published in the diagnostics channel `overlapped:session-failed`, and a process warning.
 *
 * Members that mean the same as in Session have the same names. Different are onMessage (a whole message and its sender, not a
 * part of a stream), and destroy(), which returns a promise. There is no end(), since no messages are queued.
 */
export class DatagramSession {
  /** Kept up to date: the same object each time. */
  readonly stats: DatagramStats = { received: 0, sent: 0, dropped: 0, failed: 0, truncated: 0 };
  #core!: Core;
  #socket!: PortSocket;
  #sender!: DatagramSender;
  #local!: Endpoint;
  #receiveEvent: IocpEvent<CompletionOwner> | null = null;
  #connected = false;
  /** The message that onMessage is being given, and its receive buffer: a send keeps that buffer instead of copying it. */
  #delivered: Buffer | null = null;
  #deliveredBuffer = -1;
  #error: Error | undefined;
  /** Set by destroy(). It resolves when the session is over. */
  #closing: Promise<void> | undefined;
  #over!: () => void;
  readonly #stoppable: Stoppable = { stop: () => this.destroy() };
  /** The async context of the handlers: that of the bind() or connect() call. */
  readonly #context = new AsyncResource('OverlappedDatagramSession');

  /**
   * Binds a socket that receives from any peer and sends to any. Rejects with an IocpError (EADDRINUSE, EACCES, EADDRNOTAVAIL
   * ...), or with the resolver's error.
   */
  static async bind<Kind extends DatagramSession = DatagramSession>(
    core: IocpCore,
    options: DatagramBindOptions<Kind>,
  ): Promise<Kind> {
    checkBind(options);
    const internals = internalsOf(core);
    const { host, port, session } = options;
    const made = make(session);
    const socket = await openLocal(host, port, (local) => internals.port.bind(local, datagramOptions(options)));
    return made.#open(internals, socket, false);
  }

  /**
   * Makes a socket that exchanges messages with one peer only. UDP has no handshake, so this succeeds also if nothing listens at
   * the peer. If the peer's system reports that (ICMP), the session closes with ECONNREFUSED. Rejects as bind() does.
   */
  static async connect<Kind extends DatagramSession = DatagramSession>(
    core: IocpCore,
    options: DatagramConnectOptions<Kind>,
  ): Promise<Kind> {
    checkDatagramTarget(options);
    const internals = internalsOf(core);
    const { host, port, session } = options;
    const remote = endpoint(await addressOf(host), port);
    const made = make(session);
    return made.#open(internals, await bindTo(internals, { ...datagramOptions(options), remote }), true);
  }

  /**
   * A message has arrived. `data` is borrowed: it is valid until this returns, or, in an async handler, until its first await.
   * send(data) keeps it. Copy it for any other later use. `from` may be kept. Sending to this object is cheaper than sending to
   * an equal one. The next message of the same peer may have another object.
   */
  onMessage(data: Buffer, from: Endpoint): unknown;
  onMessage(): unknown {
    return undefined;
  }

  /** The session is over. It is the last handler to run. `error` is the reason, undefined after a destroy() without one. */
  onDisconnected(error?: Error): unknown;
  onDisconnected(): unknown {
    return undefined;
  }

  /**
   * Sends a message of at most 16,384 bytes: to an address, or without one to the peer that the session is connected to.
   * False if the message was dropped: too many are in flight, or the session is closed. UDP may also lose a message later, without
   * a report. Throws a RangeError if the message is too long.
   */
  send(data: Uint8Array | string, to?: Endpoint): boolean {
    if (this.#closing !== undefined) return false;
    assert((to === undefined) === this.#connected, 'a connected session sends to its peer, another to an address');
    const bytes = bytesOf(data);
    const length = lengthOf(bytes);
    if (length > MAX_MESSAGE) {
      throw new RangeError(`a message has at most ${MAX_MESSAGE} bytes, not ${length}`);
    }
    const { port, maxKeptReceiveBuffers } = this.#core;
    const keeps = bytes === this.#delivered && port.stats.buffersOut <= maxKeptReceiveBuffers;
    const taken = keeps
      ? this.#sender.keep(this.#delivered!, length, this.#deliveredBuffer, to ?? null)
      : this.#sender.copy(bytes, length, to ?? null);
    if (!taken) this.stats.dropped++;
    return taken;
  }

  /** Closes the socket. `error` goes to onDisconnected, after which the promise resolves. Messages in flight may be lost. */
  destroy(error?: Error): Promise<void> {
    if (this.#closing === undefined) {
      this.#error = error;
      this.#closing = new Promise((resolve) => {
        this.#over = resolve;
      });
      this.#core.port.close(this.#socket);
    }
    return this.#closing;
  }

  /** The address and port that the socket is bound to. */
  get local(): Endpoint {
    return this.#local;
  }

  /** For the core: a packet of the receive stream, or of the socket. @internal */
  [onCompletion](packet: CompletionPacket): void {
    this.#context.runInAsyncScope(this.#complete, this, packet);
  }

  #complete(packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) this.#closed();
    else if (packet.data !== null) this.#received(packet.data, packet);
    else this.#receiveEnded(packet.error!);
  }

  async #open(core: Core, socket: PortSocket, connected: boolean): Promise<this> {
    socket.key = this;
    this.#core = core;
    this.#socket = socket;
    this.#local = socket.localEndpoint();
    this.#connected = connected;
    this.#sender = new DatagramSender(core, socket, (bytes, error) => this.#sent(bytes, error));
    core.attach(this.#stoppable);
    this.#receiveEvent = core.datagramEvents.acquire(this, Operation.Receive);
    if (this.#receiveEvent === null) {
      const error = new IocpError('bind', 'the core has no free event', 'ENOBUFS', 'bind');
      await this.destroy(error);
      throw error;
    }
    core.port.receive(socket, this.#receiveEvent);
    return this;
  }

  #received(data: Buffer, { buffer, error, from }: CompletionPacket): void {
    const { port, statsBlock } = this.#core;
    if (error !== null) this.stats.truncated++;
    else if (this.#closing === undefined) {
      this.stats.received++;
      statsBlock.values[RECEIVED]! += data.length;
      this.#delivered = data;
      this.#deliveredBuffer = buffer;
      startBorrow(data, null, -1);
      this.#deliver(data, from!);
      this.#delivered = null;
      endBorrow();
    }
    try {
      port.release(buffer);
    } catch (thrown) {
      // A handler has released the buffer already. That is misuse.
      this.#fail(thrown);
    }
  }

  #deliver(data: Buffer, from: Endpoint): void {
    try {
      const result = this.onMessage(data, from);
      if (isThenable(result)) result.then(undefined, (thrown: unknown) => this.#fail(thrown));
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** The socket stays open: any host may have sent the message that made the handler fail. */
  #fail(thrown: unknown): void {
    const error = asError(thrown);
    report(this.#core, this, error);
    warn(this.#core, 'The handler of a datagram session failed, and its message was dropped', error);
  }

  #receiveEnded(error: IocpError): void {
    this.#core.datagramEvents.release(this.#receiveEvent!);
    this.#receiveEvent = null;
    void this.destroy(error);
  }

  #sent(bytes: number, error: IocpError | null): void {
    if (error === null) {
      this.stats.sent++;
      this.#core.statsBlock.values[SENT]! += bytes;
      return;
    }
    this.stats.failed++;
    // The system reports ECONNREFUSED once: to a send, or to the receive stream.
    if (this.#connected && error.code === 'ECONNREFUSED') void this.destroy(error);
  }

  #failedLast(thrown: unknown): void {
    const error = asError(thrown);
    report(this.#core, this, error);
    warn(this.#core, 'onDisconnected of a datagram session failed', error);
  }

  #closed(): void {
    this.#core.detach(this.#stoppable);
    try {
      const result = this.onDisconnected(this.#error);
      if (isThenable(result)) result.then(undefined, (thrown: unknown) => this.#failedLast(thrown));
    } catch (thrown) {
      this.#failedLast(thrown);
    }
    this.#over();
  }
}

/**
 * A socket connected to one peer. If the peer's address is local and nothing is bound there, the kernel may choose the peer's port
 * for the socket itself, which would then be its own peer. Such a socket stays open until another one is bound, so that the port
 * is not chosen again.
 */
async function bindTo(core: Core, options: DatagramOptions & { remote: Endpoint }): Promise<PortSocket> {
  const { remote } = options;
  const own: PortSocket[] = [];
  try {
    for (let i = 0; i < MAX_BINDS; i++) {
      const socket = await core.port.bind(endpoint(remote.family === 6 ? '::' : '0.0.0.0', 0), options);
      const { address, port } = socket.localEndpoint();
      if (port !== remote.port || address !== socket.remoteEndpoint().address) return socket;
      own.push(socket);
    }
  } finally {
    for (const socket of own) {
      socket.key = ignored;
      core.port.close(socket);
    }
  }
  throw new IocpError('connect', 'there is no local port but the one of the peer', 'EADDRNOTAVAIL', 'bind');
}

/** Throws a TypeError if `kind` is neither a subclass of DatagramSession nor an object of handlers. */
function make<Kind extends DatagramSession>(kind: KindOption<Kind>['session']): Kind {
  checkKind(kind, DatagramSession, ['onMessage', 'onDisconnected']);
  return typeof kind === 'function' ? new kind() : (new HandlerSession(kind) as DatagramSession as Kind);
}

/** A session that calls an object of handlers. */
class HandlerSession extends DatagramSession {
  readonly #handlers: DatagramHandlers;

  constructor(handlers: DatagramHandlers) {
    super();
    this.#handlers = handlers;
  }

  override onMessage(data: Buffer, from: Endpoint): unknown {
    return this.#handlers.onMessage?.(this, data, from);
  }

  override onDisconnected(error?: Error): unknown {
    return this.#handlers.onDisconnected?.(this, error);
  }
}
