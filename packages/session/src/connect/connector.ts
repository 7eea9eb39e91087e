// Connector: opens connections as sessions.

import { isIP } from 'node:net';
import { type Endpoint, endpoint, IocpError, type PipeEndpoint, type SocketOptions } from '@overlapped/iocp-native';
import { checkGrace, DEFAULT_GRACE } from '@overlapped/iocp-native/internal';
import type { IocpCore, Stoppable } from '@overlapped/net-core';
import { type Core, internalsOf } from '@overlapped/net-core/internal';
import { addressesOf } from '../hosts.js';
import { checkConnect, checkConnector, checkTarget } from '../options.js';
import type { Origin } from '../session/origin.js';
import type { Session } from '../session/session.js';
import { type SessionEnd, type SessionOptions, SessionSet } from '../session/session-set.js';
import { socketOptions } from '../socket-options.js';
import { TlsContext } from '../tls/context.js';
import type { TlsClientOptions } from '../tls/options.js';
import { Connecting, type ConnectOptions } from './connecting.js';
import { Securing } from './securing.js';

/** A connector's sessions, and the options of their sockets. */
export interface ConnectorOptions<Kind extends Session = Session> extends SessionOptions<Kind>, SocketOptions {
  /**
   * The connections are TLS: connect() resolves after the handshake, and sessions send and receive plain bytes; see Session.tls.
   * Default: no TLS.
   */
  readonly tls?: TlsClientOptions;
}

/** Where to connect to. */
export interface ConnectTarget {
  /** A name or an address. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/**
 * Opens connections as sessions. Use it on the thread of its core. core.stop() stops it. One connector makes any number of
 * connections. The core holds no reference to a connector without connections, so it can be garbage-collected.
 */
export class Connector<Kind extends Session = Session> implements Stoppable {
  readonly #core: Core;
  readonly #set: SessionSet;
  readonly #options: SocketOptions;
  readonly #tls: TlsContext | null;
  readonly #connecting = new Set<Connecting | Securing>();
  /** Number of connect() calls that have not settled. */
  #calls = 0;
  #connectingOver: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  /**
   * Throws a TypeError or RangeError for an unknown or invalid option. With `tls`, an IocpError for a certificate or an option that
   * OpenSSL does not take, or ENOTSUP where OpenSSL's functions cannot be called.
   */
  constructor(core: IocpCore, options: ConnectorOptions<Kind>);
  /** @internal `onEnd` is called for each session that is over, before its onDisconnected. */
  constructor(core: IocpCore, options: ConnectorOptions<Kind>, onEnd: SessionEnd);
  constructor(core: IocpCore, options: ConnectorOptions<Kind>, onEnd?: SessionEnd) {
    // A ClientService has checked its options itself.
    if (onEnd === undefined) checkConnector(options);
    this.#core = internalsOf(core);
    this.#set = new SessionSet(this.#core, options, null, (session, error) => {
      onEnd?.(session, error);
      this.#detachIfIdle();
    });
    this.#options = socketOptions(options);
    this.#tls = options.tls ? TlsContext.forClient(options.tls) : null;
  }

  /** The open sessions. */
  get sessions(): ReadonlySet<Kind> {
    return this.#set.sessions as ReadonlySet<Session> as ReadonlySet<Kind>;
  }

  /**
   * Connects, and resolves with the session after its onConnected. A name's addresses are tried 250 ms apart, IPv6 and IPv4 in
   * turns; the first that connects is used (RFC 8305). A path is that of a Unix-domain socket or a named pipe. Rejects, when all
   * attempts have ended, with an IocpError: ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, EMFILE ..., ENOENT for a path, ECANCELED if the
   * connector or its core stops; with `tls` also with the handshake's error, whose code is that of node:tls.
   * (DEPTH_ZERO_SELF_SIGNED_CERT, ERR_TLS_CERT_ALTNAME_INVALID, ERR_SSL_...). With several addresses it has the first one's code, and all errors in `cause`. Or rejects with
   * the signal's reason, or with the resolver's error.
   */
  async connect(to: ConnectTarget | PipeEndpoint, options: ConnectOptions<Kind> = {}): Promise<Kind> {
    const target = checkTarget(to);
    checkConnect(options);
    const over = (done: Connecting | Securing) => {
      this.#connecting.delete(done);
      if (this.#connecting.size === 0) this.#connectingOver?.();
    };
    const { now } = this.#core.timers;
    const connecting = new Connecting(this.#core, textOf(target), this.#options, options, over);
    this.#connecting.add(connecting);
    this.#calls++;
    if (this.#stopped || this.#core.stopping) {
      connecting.cancel(stopped());
    } else {
      this.#core.attach(this);
      connecting.start(resolve(target));
    }
    try {
      const socket = await connecting.socket;
      let origin: Origin | null = null;
      if (this.#tls !== null) {
        const host = this.#tls.servername ?? ('host' in target ? target.host : undefined);
        const securing = new Securing(this.#core, socket, this.#tls, host, options, now, over);
        this.#connecting.add(securing);
        if (this.#stopped) securing.cancel(stopped());
        await securing.done;
        origin = securing.origin();
      }
      return this.#set.open(socket, origin, true, options.session) as Kind;
    } finally {
      this.#calls--;
      this.#detachIfIdle();
    }
  }

  /** The core holds a connector only while it has something to stop. */
  #detachIfIdle(): void {
    if (this.#calls === 0 && this.#set.sessions.size === 0) this.#core.detach(this);
  }

  /**
   * Cancels connects and ends the sessions. Sessions that are open after `grace` milliseconds (default 5000) are destroyed. Within
   * the grace a session used as a stream is left to its user.
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

  async #stop(grace: number): Promise<void> {
    if (this.#connecting.size > 0) {
      await new Promise<void>((resolve) => {
        this.#connectingOver = resolve;
        for (const connecting of this.#connecting) connecting.cancel(stopped());
      });
    }
    await this.#set.stop(grace);
    this.#tls?.free();
    this.#core.detach(this);
  }
}

async function resolve(target: ConnectTarget | PipeEndpoint): Promise<(Endpoint | PipeEndpoint)[]> {
  if ('path' in target) return [target];
  return (await addressesOf(target.host)).map((address) => endpoint(address, target.port));
}

function textOf(target: ConnectTarget | PipeEndpoint): string {
  if ('path' in target) return target.path;
  return `${isIP(target.host) === 6 ? `[${target.host}]` : target.host}:${target.port}`;
}

function stopped(): IocpError {
  return new IocpError('connect', 'the connector has stopped', 'ECANCELED', 'connect');
}
