// DatagramSession: one UDP socket. A server's serves all of its peers; a connected one has a single peer. It owns the
// socket and its receive stream, and turns packets into calls of its handlers. Use it by subclassing, or through an object
// of handlers.
//
//   bind() or connect() -> onMessage, onMessage ... -> close() or an error -> onClosed(error?)

import assert from 'node:assert';
import { AsyncResource } from 'node:async_hooks';
import {
  type CompletionPacket,
  type Endpoint,
  endpoint,
  IocpError,
  isIocpError,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import { lengthOf } from '@overlapped/iocp-native/internal';
import { type CompletionOwner, type IocpCore, onCompletion, Stat, type Stoppable } from '@overlapped/net-core';
import type { IocpEvent } from '@overlapped/object-pool';
import { endBorrow, startBorrow } from '../borrowed.js';
import { bytesOf } from '../bytes.js';
import { report, warn } from '../failures.js';
import { addressOf } from '../hosts.js';
import { checkBind, checkDatagramTarget, checkKind } from '../options.js';
import { asError, isThenable } from '../outcomes.js';
import { ignored } from '../reset.js';
import { LONGEST_MESSAGE, Outbox } from './datagram-sender.js';

/** What a datagram session calls; see DatagramSession for each. `session` is the one that calls. */
export interface DatagramHandlers {
  /** See {@link DatagramSession.onMessage}: `data` is borrowed. */
  onMessage?(session: DatagramSession, data: Buffer, from: Endpoint): unknown;
  /** See {@link DatagramSession.onClosed}. */
  onClosed?(session: DatagramSession, error?: Error): unknown;
}

interface KindOption<Kind extends DatagramSession = DatagramSession> {
  /** What the session does: a subclass of DatagramSession, or an object of handlers. */
  readonly session: (new () => Kind) | DatagramHandlers;
}

/** Where a socket hears from anybody. */
export interface DatagramBindOptions<Kind extends DatagramSession = DatagramSession> extends KindOption<Kind> {
  /** 0 takes a free one; `session.endpoint` says which. */
  readonly port: number;
  /** A name or an address. Default `::`, which has IPv4 peers too; `0.0.0.0` where there is no IPv6. */
  readonly host?: string;
  /** Lets it send to broadcast addresses. Default false. */
  readonly broadcast?: boolean;
}

/** The one peer of a connected socket. */
export interface DatagramConnectOptions<Kind extends DatagramSession = DatagramSession> extends KindOption<Kind> {
  /** A name or an address. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** Counters since the session opened. */
export interface DatagramStats {
  /** Messages that onMessage got. */
  received: number;
  /** Messages that the kernel has taken to send. */
  sent: number;
  /** Messages that send() dropped, as too many were in flight, or no send buffer was free. */
  dropped: number;
  /** Messages that the kernel refused to send: no route, too large for the network ... */
  failed: number;
  /** Messages of more than 8192 bytes that came, and were dropped. */
  truncated: number;
}

/** Sockets that may be their own peers, one after the other. */
const MOST_BINDS = 16;

const { bytesReceived: RECEIVED, bytesSent: SENT } = Stat;

/**
 * One UDP socket. Override what you need; all of it runs on the thread of the core. A handler that throws, or whose promise
 * rejects, drops its message, and the session goes on: any host may have sent it. That is counted (`failed` of the core's
 * statistics), published in the diagnostics channel `overlapped:session-failed`, and told in a process warning.
 */
export class DatagramSession implements CompletionOwner {
  /** Kept up to date: the same object each time. */
  readonly stats: DatagramStats = { received: 0, sent: 0, dropped: 0, failed: 0, truncated: 0 };
  #core!: IocpCore;
  #socket!: PortSocket;
  #outbox!: Outbox;
  #endpoint!: Endpoint;
  #receiveEvent: IocpEvent<CompletionOwner> | null = null;
  #connected = false;
  /** The message that onMessage has, and the receive buffer that it lies in: a send may keep that one. */
  #delivered: Buffer | null = null;
  #deliveredBuffer = -1;
  #error: Error | undefined;
  /** Set by close(): it resolves when the session is over. */
  #closing: Promise<void> | undefined;
  #over!: () => void;
  readonly #stoppable: Stoppable = { stop: () => this.close() };
  /** The async context of its handlers: that of the bind() or connect() call. */
  readonly #context = new AsyncResource('OverlappedDatagramSession');

  /**
   * Binds a socket that hears and answers anybody. Rejects with an IocpError (EADDRINUSE, EACCES, EADDRNOTAVAIL ...), or
   * with what the resolver says of the name.
   */
  static async bind<Kind extends DatagramSession = DatagramSession>(
    core: IocpCore,
    options: DatagramBindOptions<Kind>,
  ): Promise<Kind> {
    checkBind(options);
    const { host, port, session, broadcast = false } = options;
    const made = make(session);
    const address = host === undefined ? '::' : await addressOf(host);
    const socket = await core.port.bind(endpoint(address, port), { broadcast }).catch((error: unknown) => {
      const noIPv6 = isIocpError(error) && (error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL');
      if (host !== undefined || !noIPv6) throw error;
      return core.port.bind(endpoint('0.0.0.0', port), { broadcast });
    });
    return made.#open(core, socket, false);
  }

  /**
   * Makes a socket that deals with one peer alone. UDP says no hello, so this succeeds whether somebody is there or not; when
   * the peer's system says that nobody is, the session closes with ECONNREFUSED. Rejects as bind() does.
   */
  static async connect<Kind extends DatagramSession = DatagramSession>(
    core: IocpCore,
    options: DatagramConnectOptions<Kind>,
  ): Promise<Kind> {
    checkDatagramTarget(options);
    const { host, port, session } = options;
    const remote = endpoint(await addressOf(host), port);
    const made = make(session);
    return made.#open(core, await bindTo(core, remote), true);
  }

  /**
   * A message has come. `data` is borrowed: it is good until this returns, or, in an async handler, until its first await.
   * send(data) keeps it; anything else that needs it later must copy it. `from` may be kept, and sending to it is cheaper
   * than to an endpoint that says the same; it need not be the same object the next time.
   */
  onMessage(data: Buffer, from: Endpoint): unknown;
  onMessage(): unknown {
    return undefined;
  }

  /** The session is over; no other handler runs after this one. `error` is why, unless close() was called without one. */
  onClosed(error?: Error): unknown;
  onClosed(): unknown {
    return undefined;
  }

  /**
   * Sends a message of at most 16,384 bytes: to an address, or without one to the peer that the session is connected to.
   * False when it was dropped, which UDP may do at any later point without a word: too much is on its way already, or the
   * session is closed. Throws a RangeError when the message is too long.
   */
  send(data: Uint8Array | string, to?: Endpoint): boolean {
    if (this.#closing !== undefined) return false;
    assert((to === undefined) === this.#connected, 'a connected session sends to its peer, another to an address');
    const bytes = bytesOf(data);
    const length = lengthOf(bytes);
    if (length > LONGEST_MESSAGE) {
      throw new RangeError(`a message has at most ${LONGEST_MESSAGE} bytes, not ${length}`);
    }
    const { port, receiveBuffersToLend } = this.#core;
    const lends = bytes === this.#delivered && port.stats.buffersOut <= receiveBuffersToLend;
    const taken = lends
      ? this.#outbox.lend(this.#delivered!, this.#deliveredBuffer, to ?? null)
      : this.#outbox.copy(bytes, length, to ?? null);
    if (!taken) this.stats.dropped++;
    return taken;
  }

  /** Closes the socket; resolves after onClosed, to which `error` goes. What is still on its way may be lost. */
  close(error?: Error): Promise<void> {
    if (this.#closing === undefined) {
      this.#error = error;
      this.#closing = new Promise((resolve) => {
        this.#over = resolve;
      });
      this.#core.port.close(this.#socket);
    }
    return this.#closing;
  }

  /** Where it is bound. */
  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  /** For the core: a packet of the receive stream, or of the socket. */
  [onCompletion](packet: CompletionPacket): void {
    this.#context.runInAsyncScope(this.#complete, this, packet);
  }

  #complete(packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) this.#closed();
    else if (packet.data !== null) this.#received(packet.data, packet);
    else this.#receiveEnded(packet.error!);
  }

  async #open(core: IocpCore, socket: PortSocket, connected: boolean): Promise<this> {
    socket.key = this;
    this.#core = core;
    this.#socket = socket;
    this.#endpoint = socket.localEndpoint();
    this.#connected = connected;
    this.#outbox = new Outbox(core, socket, (bytes, error) => this.#sent(bytes, error));
    core.attach(this.#stoppable);
    this.#receiveEvent = core.datagramEvents.acquire(this, Operation.Receive);
    if (this.#receiveEvent === null) {
      const error = new IocpError('bind', 'the core has no free event', 'ENOBUFS', 'bind');
      await this.close(error);
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
      // A handler has released it already, which is misuse.
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

  /** One message, which anybody may have sent, must not close the socket for all peers. */
  #fail(thrown: unknown): void {
    const error = asError(thrown);
    report(this.#core, this, error);
    warn(this.#core, 'The handler of a datagram session failed, and its message was dropped', error);
  }

  #receiveEnded(error: IocpError): void {
    this.#core.datagramEvents.release(this.#receiveEvent!);
    this.#receiveEvent = null;
    void this.close(error);
  }

  #sent(bytes: number, error: IocpError | null): void {
    if (error === null) {
      this.stats.sent++;
      this.#core.statsBlock.values[SENT]! += bytes;
      return;
    }
    this.stats.failed++;
    // The system says once that nobody is there: here, or to the receive stream.
    if (this.#connected && error.code === 'ECONNREFUSED') void this.close(error);
  }

  #failedLast(thrown: unknown): void {
    const error = asError(thrown);
    report(this.#core, this, error);
    warn(this.#core, 'onClosed of a datagram session failed', error);
  }

  #closed(): void {
    this.#core.detach(this.#stoppable);
    try {
      const result = this.onClosed(this.#error);
      if (isThenable(result)) result.then(undefined, (thrown: unknown) => this.#failedLast(thrown));
    } catch (thrown) {
      this.#failedLast(thrown);
    }
    this.#over();
  }
}

/**
 * A socket of its own for one peer. The kernel may choose the very port that the peer is to have, when nothing is bound there:
 * the socket would be its own peer. Such a one is kept until there is another, so that the port is not chosen again.
 */
async function bindTo(core: IocpCore, remote: Endpoint): Promise<PortSocket> {
  const own: PortSocket[] = [];
  try {
    for (let i = 0; i < MOST_BINDS; i++) {
      const socket = await core.port.bind(endpoint(remote.family === 6 ? '::' : '0.0.0.0', 0), { remote });
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

/** Throws a TypeError for what is neither a class of sessions nor handlers. */
function make<Kind extends DatagramSession>(kind: KindOption<Kind>['session']): Kind {
  checkKind(kind, DatagramSession, ['onMessage', 'onClosed']);
  return typeof kind === 'function' ? new kind() : (new HandlerSession(kind) as DatagramSession as Kind);
}

/** A session through an object of handlers. */
class HandlerSession extends DatagramSession {
  readonly #handlers: DatagramHandlers;

  constructor(handlers: DatagramHandlers) {
    super();
    this.#handlers = handlers;
  }

  override onMessage(data: Buffer, from: Endpoint): unknown {
    return this.#handlers.onMessage?.(this, data, from);
  }

  override onClosed(error?: Error): unknown {
    return this.#handlers.onClosed?.(this, error);
  }
}
