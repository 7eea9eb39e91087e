// Listener: accepts connections, with several accepts outstanding, and makes a session for each. No failed accept ends
// it: it backs off when the system is out of something, and resumes.

import { lookup } from 'node:dns/promises';
import {
  type CompletionPacket,
  type Endpoint,
  endpoint,
  isIocpError,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import { type CompletionOwner, type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import type { IocpEvent } from '@overlapped/object-pool';
import type { Session } from './session.js';
import { DEFAULT_GRACE, type SessionOptions, SessionSet } from './session-set.js';

export interface ListenerOptions extends SessionOptions {
  /** 0 takes a free one; `listener.endpoint` says which. */
  readonly port: number;
  /** A name or an address. Default `::`, which takes IPv4 clients too; `0.0.0.0` where there is no IPv6. */
  readonly host?: string;
  /** Connections that the kernel may hold until they are accepted. Default 4096, cut by the system's own limit. */
  readonly backlog?: number;
  /** TCP_NODELAY on the sessions. Default true. */
  readonly noDelay?: boolean;
}

/** Counters since the listener opened. */
export interface ListenerFigures {
  accepted: number;
  /** Accepts that failed. */
  failed: number;
  /** Connections that were reset at once, since the core had `maxSessions` already. */
  refused: number;
}

const ACCEPTS = 256;
/** Milliseconds that a failed accept waits when the system is out of descriptors or memory. */
const BACK_OFF = 100;
const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

type AcceptEvent = IocpEvent<CompletionOwner>;

export class Listener implements CompletionOwner, Stoppable {
  /** Where it listens. */
  readonly endpoint: Endpoint;
  readonly figures: ListenerFigures = { accepted: 0, failed: 0, refused: 0 };
  readonly #core: IocpCore;
  readonly #socket: PortSocket;
  readonly #set: SessionSet;
  readonly #backOff = new Timer(() => this.#acceptAgain());
  /** Accepts that failed and wait for the back-off to end. */
  readonly #resting: AcceptEvent[] = [];
  #closed: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(core: IocpCore, socket: PortSocket, set: SessionSet) {
    this.#core = core;
    this.#socket = socket;
    this.#set = set;
    this.endpoint = socket.localEndpoint();
    socket.key = this;
    core.attach(this);
    for (let i = 0; i < ACCEPTS; i++) {
      const event = core.events.acquire(this, Operation.Accept);
      if (event === null) break;
      core.port.accept(socket, event);
    }
  }

  /**
   * Starts to listen. Rejects with an IocpError (EADDRINUSE, EACCES, EADDRNOTAVAIL, EINVAL ...), or with what the
   * resolver says of the name.
   */
  static async listen(core: IocpCore, options: ListenerOptions): Promise<Listener> {
    const set = new SessionSet(core, options);
    const { host, port, backlog, noDelay } = options;
    const rest = { ...(backlog !== undefined && { backlog }), ...(noDelay !== undefined && { noDelay }) };
    const address = host === undefined ? '::' : (await lookup(host)).address;
    const socket = await core.port.listen(endpoint(address, port), rest).catch((error: unknown) => {
      const noIPv6 = isIocpError(error) && (error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL');
      if (host !== undefined || !noIPv6) throw error;
      return core.port.listen(endpoint('0.0.0.0', port), rest);
    });
    return new Listener(core, socket, set);
  }

  /** The sessions that are open. */
  get sessions(): ReadonlySet<Session> {
    return this.#set.sessions;
  }

  /** Stops accepting and ends the sessions; what has not ended after `grace` milliseconds (default 5000) is destroyed. */
  stop(grace = DEFAULT_GRACE): Promise<void> {
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** For the core: a packet of an accept, or of the listening socket. */
  onCompletion(packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) {
      this.#closed?.();
      return;
    }
    const event = packet.event as AcceptEvent | null;
    if (packet.error === null) {
      this.#accepted(packet.socket!);
    } else if (this.#stopped === undefined) {
      this.figures.failed++;
      if (event !== null && EXHAUSTED.has(packet.error.code)) {
        this.#rest(event);
        return;
      }
    }
    if (event === null) return;
    if (this.#stopped === undefined) this.#core.port.accept(this.#socket, event);
    else this.#core.events.release(event);
  }

  #accepted(socket: PortSocket): void {
    if (!this.#core.admit()) {
      this.figures.refused++;
      socket.key = ignored;
      this.#core.port.close(socket, true);
      return;
    }
    this.figures.accepted++;
    const session = this.#set.open(socket);
    if (this.#stopped !== undefined) session.end();
  }

  #rest(event: AcceptEvent): void {
    this.#resting.push(event);
    if (this.#resting.length === 1) this.#core.timers.set(this.#backOff, BACK_OFF);
  }

  #acceptAgain(): void {
    for (const event of this.#resting.splice(0)) this.#core.port.accept(this.#socket, event);
  }

  async #stop(grace: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    this.#core.timers.clear(this.#backOff);
    for (const event of this.#resting.splice(0)) this.#core.events.release(event);
    this.#core.port.close(this.#socket);
    await closed;
    await this.#set.stop(grace);
    this.#core.detach(this);
  }
}

/** Whose Close packet nobody waits for. */
const ignored: CompletionOwner = { onCompletion() {} };
