// Connector: opens connections of our own, as sessions of the same kinds that a listener makes.

import { lookup } from 'node:dns/promises';
import {
  type CompletionPacket,
  type Endpoint,
  endpoint,
  IocpError,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import type { CompletionOwner, IocpCore, Stoppable } from '@overlapped/net-core';
import type { IocpEvent } from '@overlapped/object-pool';
import type { Session } from './session.js';
import { DEFAULT_GRACE, type SessionOptions, SessionSet } from './session-set.js';

export interface ConnectorOptions extends SessionOptions {
  /** TCP_NODELAY on the sessions. Default true. */
  readonly noDelay?: boolean;
}

export interface ConnectTarget {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
}

export class Connector implements Stoppable {
  readonly #core: IocpCore;
  readonly #set: SessionSet;
  readonly #noDelay: boolean;
  readonly #attempts = new Set<Attempt>();
  #attemptsOver: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  constructor(core: IocpCore, options: ConnectorOptions) {
    this.#core = core;
    this.#set = new SessionSet(core, options);
    this.#noDelay = options.noDelay !== false;
    core.attach(this);
  }

  /** The sessions that are open. */
  get sessions(): ReadonlySet<Session> {
    return this.#set.sessions;
  }

  /**
   * Connects, and resolves with the session after its onConnected. Rejects with an IocpError (ECONNREFUSED, ETIMEDOUT,
   * EHOSTUNREACH, EMFILE ...; ECANCELED when the connector stops), or with what the resolver says of the name.
   */
  async connect(target: ConnectTarget): Promise<Session> {
    const { address } = await lookup(target.host);
    const remote = endpoint(address, target.port);
    return new Promise((resolve, reject) => {
      const attempt = new Attempt(this.#core, (error, socket) => {
        this.#attempts.delete(attempt);
        if (error) reject(error);
        else resolve(this.#set.open(socket));
        if (this.#attempts.size === 0) this.#attemptsOver?.();
      });
      this.#attempts.add(attempt);
      if (this.#stopped) attempt.fail(new IocpError('connect', 'the connector has stopped', 'ECANCELED', 'connect'));
      else attempt.start(remote, this.#noDelay);
    });
  }

  /** Cancels what is connecting and ends the sessions; what has not ended after `grace` milliseconds is destroyed. */
  stop(grace = DEFAULT_GRACE): Promise<void> {
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(grace: number): Promise<void> {
    if (this.#attempts.size > 0) {
      await new Promise<void>((resolve) => {
        this.#attemptsOver = resolve;
        for (const attempt of this.#attempts) attempt.cancel();
      });
    }
    await this.#set.stop(grace);
    this.#core.detach(this);
  }
}

type Settle = (error: Error | null, socket: PortSocket) => void;

/** One connect in flight. A failed one is over when its socket has closed. */
class Attempt implements CompletionOwner {
  readonly #core: IocpCore;
  readonly #settle: Settle;
  #socket!: PortSocket;
  #error: Error | null = null;
  #canceled = false;

  constructor(core: IocpCore, settle: Settle) {
    this.#core = core;
    this.#settle = settle;
  }

  start(remote: Endpoint, noDelay: boolean): void {
    const core = this.#core;
    if (core.sessions + core.reserved === core.maxSessions) {
      this.fail(new IocpError('connect', 'the core has maxSessions sessions', 'ENOBUFS', 'connect'));
      return;
    }
    core.reserved++;
    this.#socket = core.port.connect(core.events.acquire(this, Operation.Connect)!, remote, this, { noDelay });
  }

  fail(error: Error): void {
    this.#settle(error, this.#socket);
  }

  cancel(): void {
    this.#canceled = true;
    this.#core.port.close(this.#socket);
  }

  onCompletion(packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) {
      this.fail(this.#error ?? new IocpError('connect', 'the connector has stopped', 'ECANCELED', 'connect'));
      return;
    }
    this.#core.events.release(packet.event as IocpEvent<CompletionOwner>);
    this.#core.reserved--;
    this.#error = packet.error;
    if (packet.error === null && !this.#canceled && this.#core.admit()) this.#settle(null, this.#socket);
    else this.#core.port.close(this.#socket);
  }
}
