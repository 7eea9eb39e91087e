// Listener: accepts connections, with many accepts in flight, and makes a session for each. A failed accept does not end it: if
// the system is out of resources, or accepts fail repeatedly, it pauses and tries again.

import {
  type CompletionPacket,
  type Endpoint,
  IocpError,
  Operation,
  type PipeEndpoint,
  type PortSocket,
  type SocketOptions,
} from '@overlapped/iocp-native';
import { checkGrace, DEFAULT_GRACE, moduleUrl } from '@overlapped/iocp-native/internal';
import { type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import { type CompletionOwner, type Core, internalsOf, onCompletion } from '@overlapped/net-core/internal';
import type { IocpEvent } from '@overlapped/object-pool';
import { openLocal } from '../hosts.js';
import { checkListen, checkTls } from '../options.js';
import { ignored } from '../reset.js';
import type { Session } from '../session/session.js';
import type { SessionOptions } from '../session/session-set.js';
import { loadSharedKind } from '../shared/load-kind.js';
import { localKind } from '../shared/local.js';
import { type SharedSessionOptions, sharedLimits } from '../shared/options.js';
import { hasSharedPort, SharedTarget } from '../shared/shared-target.js';
import { socketOptions } from '../socket-options.js';
import { refuse } from '../stats.js';
import type { TlsServerOptions } from '../tls/options.js';
import { AcceptFilter, type AcceptLimits } from './accept-filter.js';
import {
  type AcceptTarget,
  LocalTarget,
  loadKindHere,
  type WorkerSessionOptions,
  WorkerTarget,
} from './accept-target.js';

/** TLS of a listener's connections. */
export interface TlsListenOptions {
  /**
   * The connections are TLS: sessions open after the handshake, and send and receive plain bytes; see Session.tls. Default: no
   * TLS. Rejects with an IocpError (ENOTSUP) where OpenSSL's functions cannot be called.
   */
  readonly tls?: TlsServerOptions;
}

/** Where a listener listens, which connections it accepts, and the options of their sockets. */
export interface ListenOptions extends SocketOptions, AcceptLimits, TlsListenOptions {
  /** 0 chooses a free port: see `listener.endpoint`. */
  readonly port: number;
  /** A name or an address. Default `::`, which accepts IPv4 clients too; `0.0.0.0` on a system without IPv6. */
  readonly host?: string;
  /** An IPv6 address accepts IPv6 clients only, so that another listener may accept IPv4 clients. Default false. */
  readonly ipv6Only?: boolean;
  /** Connections that the kernel may queue until they are accepted. Default 4096, limited by the system (somaxconn). */
  readonly backlog?: number;
}

/** Sessions on the core's own thread (`session`), in its worker threads (`module`), or on its shared port (`shared`). */
export type ListenerOptions = (ListenOptions & (SessionOptions | WorkerSessionOptions)) | SharedListenerOptions;

/** Sessions that any thread of the core's shared port serves (see SharedSession). */
export interface SharedListenerOptions extends Omit<ListenOptions, 'tls'>, SharedSessionOptions {}

/** A local socket. Options of TCP have no effect on it. */
export interface LocalListenOptions
  extends SocketOptions,
    TlsListenOptions,
    Pick<AcceptLimits, 'maxSessions' | 'rate' | 'whenFull'> {
  /**
   * The file of a Unix-domain socket; it is removed when the listener closes. On Linux also an abstract name, which begins with
   * "\0". On Windows a named pipe, `\\.\pipe\NAME`.
   */
  readonly path: string;
  /** As for an address. A named pipe has no backlog. */
  readonly backlog?: number;
}

/** A named pipe serves the core's own thread only: with `module` it rejects with ENOTSUP, unless `threads` is 0. */
export type LocalListenerOptions = LocalListenOptions & (SessionOptions | Omit<WorkerSessionOptions, 'reusePort'>);

type AnyListenOptions = (ListenOptions | LocalListenOptions) & { readonly reusePort?: boolean };

/** Counters since the listener opened. */
export interface ListenerStats {
  /** Connections that became sessions, or were passed to a worker thread. */
  accepted: number;
  /** Accepts that failed. */
  failed: number;
  /** Connections reset by the listener itself. `core.stats()` has the reasons, and counts refusals in worker threads. */
  refused: number;
}

const MAX_ACCEPTS = 256;
/** Milliseconds until accepts are tried again. */
const BACK_OFF = 100;
/** With `whenFull: 'wait'`: milliseconds until the limits are checked again. */
const CHECK_AGAIN = 20;
/** The peer had closed the connection before it was accepted. It says nothing about the next connection. */
const GONE = 'ECONNABORTED';
const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

type AcceptEvent = IocpEvent<CompletionOwner>;

/** Accepts connections and makes a session for each. Use it on the thread of its core. core.stop() stops it. */
export class Listener<At extends Endpoint | PipeEndpoint = Endpoint> implements Stoppable {
  /** Where the listener is bound: an address and a port, or the path. */
  readonly endpoint: At;
  /** Kept up to date: the same object each time. */
  readonly stats: ListenerStats;
  /** Threads that wait on the shared port for this listener's sessions; 0 if its sessions are not shared, or if the core's thread serves them. */
  readonly threads: number;
  readonly #core: Core;
  /** Null if each worker thread has a listening socket of its own. */
  readonly #socket: PortSocket | null;
  readonly #target: AcceptTarget;
  readonly #filter: AcceptFilter;
  readonly #again = new Timer(() => {
    this.#backingOff = false;
    this.#acceptMore();
  });
  /** Events that are not in flight: the limits, or a back-off, forbid more accepts. */
  readonly #idleEvents: AcceptEvent[] = [];
  #accepting = 0;
  /** No connection was accepted since an accept failed. */
  #failing = false;
  /**
   * The system is out of resources, or accepts fail one after the other (the network is down): no accept is started until the
   * back-off is over.
   */
  #backingOff = false;
  #closed: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(core: Core, socket: PortSocket | null, target: AcceptTarget, endpoint: At, filter: AcceptFilter) {
    this.#core = core;
    this.#socket = socket;
    this.#target = target;
    this.#filter = filter;
    this.endpoint = endpoint;
    this.stats = target.stats ?? { accepted: 0, failed: 0, refused: 0 };
    this.threads = target.threads ?? 0;
    core.attach(this);
    if (socket === null) return;
    socket.key = this;
    // A small part of the free events, so that later listeners get some too: a core's events suffice for more than 150 listeners.
    const accepts = Math.min(MAX_ACCEPTS, Math.ceil(core.listenerEvents.free / 32));
    for (let i = 0; i < accepts; i++) this.#idleEvents.push(core.listenerEvents.acquire(this, Operation.Accept)!);
    if (target.opening === null) this.#acceptMore();
    else
      void target.opening.then(
        () => this.#opened(),
        (error) => this.#failed(error),
      );
  }

  /**
   * Starts to listen. Rejects with an IocpError (EADDRINUSE, EACCES, EADDRNOTAVAIL, EINVAL; ENOBUFS if more than 150 other
   * listeners have taken all events ...), with the resolver's error, with the module's error, or with a TypeError or RangeError
   * for an unknown or invalid option. A path is in use (EADDRINUSE) also while the file of a dead process is there.
   */
  static listen(core: IocpCore, options: LocalListenerOptions): Promise<Listener<PipeEndpoint>>;
  static listen(core: IocpCore, options: ListenerOptions): Promise<Listener>;
  static async listen(
    core: IocpCore,
    given: ListenerOptions | LocalListenerOptions,
  ): Promise<Listener<Endpoint> | Listener<PipeEndpoint>> {
    const options = checkListen(given);
    const internals = internalsOf(core);
    if ('shared' in options) return Listener.#listenShared(internals, options);
    const filter = new AcceptFilter(options, internals.timers);
    if (!('module' in options))
      return Listener.#bind(internals, options, new LocalTarget(internals, options, options.session), filter);
    if (internals.threads === 0) {
      const kind = await loadKindHere(options.module);
      return Listener.#bind(internals, options, new LocalTarget(internals, options, kind), filter);
    }
    const target = await WorkerTarget.open(internals, options);
    if (target.endpoint) return new Listener(internals, null, target, target.endpoint, filter);
    return Listener.#bind(internals, options, target, filter);
  }

  /** The threads of the shared port accept the connections. Where there is none, the core's own thread does. */
  static async #listenShared(core: Core, options: SharedListenerOptions): Promise<Listener> {
    if (!hasSharedPort(core)) {
      const { shared, ...rest } = options;
      const kind = localKind(core, await loadSharedKind(moduleUrl(shared, 'listen')));
      const filter = new AcceptFilter(rest, core.timers);
      const listener = await Listener.#bind(core, rest, new LocalTarget(core, rest, kind), filter);
      return listener as Listener;
    }
    const ofSockets = socketOptions(options);
    const target = await SharedTarget.open(core, options.shared, sharedLimits(options), ofSockets);
    try {
      const { host, port, ipv6Only, backlog } = options;
      const rest = {
        ...ofSockets,
        ...(backlog !== undefined && { backlog }),
        ...(ipv6Only && { ipv6Only }),
      };
      const endpoint = await openLocal(ipv6Only ? (host ?? '::') : host, port, async (local) =>
        target.listen(local, rest),
      );
      return new Listener(core, null, target, endpoint, new AcceptFilter({}, core.timers));
    } catch (error) {
      await target.stop(0);
      throw error;
    }
  }

  /** Opens the socket and starts to accept. */
  static async #bind(
    core: Core,
    options: AnyListenOptions,
    target: AcceptTarget,
    filter: AcceptFilter,
  ): Promise<Listener<Endpoint> | Listener<PipeEndpoint>> {
    try {
      const socket = await bind(core, options, target.detached);
      if (core.listenerEvents.free === 0) {
        socket.key = ignored;
        core.port.close(socket);
        throw new IocpError(
          'listen',
          'the other listeners of this core have taken all events for accepts',
          'ENOBUFS',
          'listen',
        );
      }
      if ('path' in options) return new Listener<PipeEndpoint>(core, socket, target, { path: options.path }, filter);
      return new Listener(core, socket, target, socket.localEndpoint(), filter);
    } catch (error) {
      await target.stop(0);
      throw error;
    }
  }

  /** The open sessions of the core's own thread. */
  get sessions(): ReadonlySet<Session> {
    return this.#target.sessions;
  }

  /**
   * Replaces the certificates and the other options of TLS, for connections that are accepted from now on. Resolves when all threads
   * use them. Tickets of before are no longer valid unless `ticketKeys` are the same. Rejects, and goes on with the former options,
   * with an IocpError for a certificate or an option that OpenSSL does not take (`ERR_OSSL_...`, `ERR_SSL_...`), and with EINVAL for a
   * listener without TLS. Rejects with ETIMEDOUT if a worker thread does not run: that one gets them when it runs again.
   */
  async setTls(options: TlsServerOptions): Promise<void> {
    checkTls(options);
    const { tls } = this.#target;
    if (tls === null) {
      const reason = 'it has been opened without TLS';
      throw new IocpError("replace the listener's certificates", reason, 'EINVAL', 'setTls');
    }
    await tls.replace(options);
  }

  /**
   * Stops accepting and ends the sessions. Sessions that are open after `grace` milliseconds (default 5000) are destroyed. Within
   * the grace a session used as a stream is left to its user, as server.close() of node:net does: an http server finishes its
   * answers.
   */
  stop(grace = DEFAULT_GRACE): Promise<void> {
    checkGrace(grace);
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  /** `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** For the core: a packet of an accept, or of the listening socket. @internal */
  [onCompletion](packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) {
      this.#closed?.();
      return;
    }
    const event = packet.event as AcceptEvent | null;
    if (packet.error === null) {
      this.#failing = false;
      if (this.#admit(packet)) this.stats.accepted++;
      else this.stats.refused++;
    } else if (this.#stopped === undefined) {
      this.stats.failed++;
      if (packet.error.code !== GONE) {
        if (this.#failing || EXHAUSTED.has(packet.error.code)) this.#backingOff = true;
        this.#failing = true;
      }
    }
    if (event === null) return;
    this.#accepting--;
    if (this.#stopped === undefined) {
      this.#idleEvents.push(event);
      this.#acceptMore();
    } else {
      this.#core.listenerEvents.release(event);
    }
  }

  /** The user's module has been evaluated. */
  #opened(): void {
    if (this.#stopped === undefined) this.#acceptMore();
  }

  /** The user's module has failed. listen() has resolved already, so a process warning reports the error. */
  #failed(error: Error): void {
    process.emitWarning(error);
    void this.stop(0);
  }

  #admit(packet: CompletionPacket): boolean {
    const address = this.#filter.needsAddress ? this.#target.addressOf(packet) : undefined;
    const reason = this.#filter.refuses(address, this.#target);
    if (reason < 0) return this.#target.take(packet);
    refuse(this.#core, reason);
    this.#target.refuse(packet);
    return false;
  }

  /** Starts as many accepts as the limits allow. If that is not all, a timer calls it again. */
  #acceptMore(): void {
    if (!this.#backingOff) {
      const most = this.#filter.waits ? this.#filter.available(this.#target) : MAX_ACCEPTS;
      while (this.#idleEvents.length > 0 && this.#accepting < most) {
        this.#accepting++;
        this.#core.port.accept(this.#socket!, this.#idleEvents.pop()!);
      }
    }
    if (this.#idleEvents.length === 0 || this.#again.isSet) return;
    this.#core.timers.set(this.#again, this.#backingOff ? BACK_OFF : CHECK_AGAIN);
  }

  async #stop(grace: number): Promise<void> {
    if (this.#socket !== null) await this.#close(this.#socket);
    await this.#target.stop(grace);
    this.#core.detach(this);
  }

  async #close(socket: PortSocket): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    this.#core.timers.clear(this.#again);
    for (const event of this.#idleEvents.splice(0)) this.#core.listenerEvents.release(event);
    this.#core.port.close(socket);
    await closed;
  }
}

async function bind(core: Core, options: AnyListenOptions, detached: boolean): Promise<PortSocket> {
  const { backlog, reusePort } = options;
  const rest = {
    ...socketOptions(options),
    detached,
    ...(backlog !== undefined && { backlog }),
    ...(reusePort !== undefined && { reusePort }),
  };
  if ('path' in options) return core.port.listen({ path: options.path }, rest);
  const { host, port, ipv6Only = false } = options;
  if (!ipv6Only) return openLocal(host, port, (local) => core.port.listen(local, rest));
  return openLocal(host ?? '::', port, (local) => core.port.listen(local, { ...rest, ipv6Only }));
}
