// Connector: opens connections of our own, as sessions of the same kinds that a listener makes.

import { isIP } from 'node:net';
import { type Endpoint, endpoint, IocpError, type PipeEndpoint, type SocketOptions } from '@overlapped/iocp-native';
import { checkGrace, type IocpCore, type Stoppable } from '@overlapped/net-core';
import { addressesOf } from '../hosts.js';
import { checkConnect, checkConnector, checkTarget } from '../options.js';
import type { Session } from '../session/session.js';
import { DEFAULT_GRACE, type SessionEnd, type SessionOptions, SessionSet } from '../session/session-set.js';
import { socketOptions } from '../socket-options.js';
import { Connecting, type ConnectOptions } from './connecting.js';

/** What a connector's sessions are, and what their sockets are set to. */
export interface ConnectorOptions<Kind extends Session = Session> extends SessionOptions<Kind>, SocketOptions {}

/** Where to connect to. */
export interface ConnectTarget {
  /** A name or an address. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/**
 * Opens connections as sessions, on the thread of its core, which stops it. One is for any number of connections; one that
 * has none is held by nothing.
 */
export class Connector<Kind extends Session = Session> implements Stoppable {
  readonly #core: IocpCore;
  readonly #set: SessionSet;
  readonly #options: SocketOptions;
  readonly #connecting = new Set<Connecting>();
  /** Of connect() that have not settled. */
  #calls = 0;
  #connectingOver: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  /** Throws a TypeError or RangeError for an option that is none, or makes no sense. */
  constructor(core: IocpCore, options: ConnectorOptions<Kind>);
  /** @internal `onEnd` is told of each session that is over, before its onDisconnected. */
  constructor(core: IocpCore, options: ConnectorOptions<Kind>, onEnd: SessionEnd);
  constructor(core: IocpCore, options: ConnectorOptions<Kind>, onEnd?: SessionEnd) {
    // A ClientService has checked its own.
    if (onEnd === undefined) checkConnector(options);
    this.#core = core;
    this.#set = new SessionSet(core, options, null, (session, error) => {
      onEnd?.(session, error);
      this.#rest();
    });
    this.#options = socketOptions(options);
  }

  /** The sessions that are open. */
  get sessions(): ReadonlySet<Kind> {
    return this.#set.sessions as ReadonlySet<Session> as ReadonlySet<Kind>;
  }

  /**
   * Connects, and resolves with the session after its onConnected. A name's addresses are tried in turns of IPv6 and IPv4,
   * 250 ms apart, and the first to connect wins (RFC 8305). A path is that of a Unix-domain socket, or of a named pipe.
   * Rejects, when nothing is left of the attempts, with an IocpError (ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, EMFILE ...,
   * for a path ENOENT; ECANCELED when the connector or its core stops; for several addresses the first one's code, and all in
   * `cause`), with the signal's reason, or with what the resolver says.
   */
  async connect(to: ConnectTarget | PipeEndpoint, options: ConnectOptions<Kind> = {}): Promise<Kind> {
    const target = checkTarget(to);
    checkConnect(options);
    const connecting = new Connecting(this.#core, textOf(target), this.#options, options, (over) => {
      this.#connecting.delete(over);
      if (this.#connecting.size === 0) this.#connectingOver?.();
    });
    this.#connecting.add(connecting);
    this.#calls++;
    if (this.#stopped || this.#core.stopping) {
      connecting.giveUp(stopped());
    } else {
      this.#core.attach(this);
      connecting.start(resolve(target));
    }
    try {
      return this.#set.open(await connecting.socket, null, true, options.session) as Kind;
    } finally {
      this.#calls--;
      this.#rest();
    }
  }

  /** The core stops it only while there is something to stop, and so holds none that is at rest. */
  #rest(): void {
    if (this.#calls === 0 && this.#set.sessions.size === 0) this.#core.detach(this);
  }

  /**
   * Cancels what is connecting and ends the sessions; what has not ended after `grace` milliseconds is destroyed. A session
   * that is used as a stream is left to whom that was given.
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
        for (const connecting of this.#connecting) connecting.giveUp(stopped());
      });
    }
    await this.#set.stop(grace);
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
