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
import { type Intake, LocalIntake, loadKind, WorkerIntake, type WorkerSessionOptions } from './intake.js';
import type { Session } from './session.js';
import { DEFAULT_GRACE, type SessionOptions } from './session-set.js';

/** Where a listener listens, and what its sockets are set to. */
export interface ListenOptions {
  /** 0 takes a free one; `listener.endpoint` says which. */
  readonly port: number;
  /** A name or an address. Default `::`, which takes IPv4 clients too; `0.0.0.0` where there is no IPv6. */
  readonly host?: string;
  /** Connections that the kernel may hold until they are accepted. Default 4096, cut by the system's own limit. */
  readonly backlog?: number;
  /** TCP_NODELAY on the sessions. Default true. */
  readonly noDelay?: boolean;
}

/** Sessions on the core's own thread (`session`), or in its worker threads (`module`). */
export type ListenerOptions = ListenOptions & (SessionOptions | WorkerSessionOptions);

/** Counters since the listener opened. */
export interface ListenerFigures {
  /** Connections that were taken out of the kernel's queue and became sessions, or went to a worker thread. */
  accepted: number;
  /** Accepts that failed. */
  failed: number;
  /** Connections that were reset at once, since the core's own thread had `maxSessions` already. */
  refused: number;
}

const ACCEPTS = 256;
/** Milliseconds that a failed accept waits when the system is out of descriptors or memory. */
const BACK_OFF = 100;
const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

type AcceptEvent = IocpEvent<CompletionOwner>;

/** Accepts connections and makes a session for each. It belongs to the thread of its core, which stops it. */
export class Listener implements CompletionOwner, Stoppable {
  /** Where it listens. */
  readonly endpoint: Endpoint;
  /** Kept up to date: the same object each time. */
  readonly figures: ListenerFigures = { accepted: 0, failed: 0, refused: 0 };
  readonly #core: IocpCore;
  /** Null when each worker thread listens for itself. */
  readonly #socket: PortSocket | null;
  readonly #intake: Intake;
  readonly #backOff = new Timer(() => this.#acceptAgain());
  /** Accepts that failed and wait for the back-off to end. */
  readonly #resting: AcceptEvent[] = [];
  #closed: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(core: IocpCore, socket: PortSocket | null, intake: Intake, endpoint: Endpoint) {
    this.#core = core;
    this.#socket = socket;
    this.#intake = intake;
    this.endpoint = endpoint;
    core.attach(this);
    if (socket === null) return;
    socket.key = this;
    for (let i = 0; i < ACCEPTS; i++) {
      const event = core.events.acquire(this, Operation.Accept);
      if (event === null) break;
      core.port.accept(socket, event);
    }
  }

  /**
   * Starts to listen. Rejects with an IocpError (EADDRINUSE, EACCES, EADDRNOTAVAIL, EINVAL ...), with what the
   * resolver says of the name, what the module throws, or a RangeError when the watermarks make no sense.
   */
  static async listen(core: IocpCore, options: ListenerOptions): Promise<Listener> {
    if (!('module' in options)) return Listener.#bind(core, options, new LocalIntake(core, options));
    if (core.threads === 0) {
      return Listener.#bind(
        core,
        options,
        new LocalIntake(core, { ...options, session: await loadKind(options.module) }),
      );
    }
    const intake = await WorkerIntake.open(core, options);
    // Each thread listens for itself.
    if (intake.endpoint) return new Listener(core, null, intake, intake.endpoint);
    return Listener.#bind(core, options, intake);
  }

  /** Opens the socket and starts to accept. */
  static async #bind(
    core: IocpCore,
    options: ListenOptions & { reusePort?: boolean },
    intake: Intake,
  ): Promise<Listener> {
    try {
      const socket = await bind(core, options, intake.detached);
      return new Listener(core, socket, intake, socket.localEndpoint());
    } catch (error) {
      await intake.stop(0);
      throw error;
    }
  }

  /** The sessions that are open on the core's own thread. */
  get sessions(): ReadonlySet<Session> {
    return this.#intake.sessions;
  }

  /** Stops accepting and ends the sessions; what has not ended after `grace` milliseconds (default 5000) is destroyed. */
  stop(grace = DEFAULT_GRACE): Promise<void> {
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  /** `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** For the core: a packet of an accept, or of the listening socket. @internal */
  onCompletion(packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) {
      this.#closed?.();
      return;
    }
    const event = packet.event as AcceptEvent | null;
    if (packet.error === null) {
      if (this.#intake.take(packet)) this.figures.accepted++;
      else this.figures.refused++;
    } else if (this.#stopped === undefined) {
      this.figures.failed++;
      if (event !== null && EXHAUSTED.has(packet.error.code)) {
        this.#rest(event);
        return;
      }
    }
    if (event === null) return;
    if (this.#stopped === undefined) this.#core.port.accept(this.#socket!, event);
    else this.#core.events.release(event);
  }

  #rest(event: AcceptEvent): void {
    this.#resting.push(event);
    if (this.#resting.length === 1) this.#core.timers.set(this.#backOff, BACK_OFF);
  }

  #acceptAgain(): void {
    for (const event of this.#resting.splice(0)) this.#core.port.accept(this.#socket!, event);
  }

  async #stop(grace: number): Promise<void> {
    if (this.#socket !== null) await this.#close(this.#socket);
    await this.#intake.stop(grace);
    this.#core.detach(this);
  }

  async #close(socket: PortSocket): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    this.#core.timers.clear(this.#backOff);
    for (const event of this.#resting.splice(0)) this.#core.events.release(event);
    this.#core.port.close(socket);
    await closed;
  }
}

async function bind(core: IocpCore, options: ListenOptions & { reusePort?: boolean }, detached: boolean) {
  const { host, port, backlog, noDelay, reusePort } = options;
  const rest = {
    detached,
    ...(backlog !== undefined && { backlog }),
    ...(noDelay !== undefined && { noDelay }),
    ...(reusePort !== undefined && { reusePort }),
  };
  const address = host === undefined ? '::' : (await lookup(host)).address;
  return core.port.listen(endpoint(address, port), rest).catch((error: unknown) => {
    const noIPv6 = isIocpError(error) && (error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL');
    if (host !== undefined || !noIPv6) throw error;
    return core.port.listen(endpoint('0.0.0.0', port), rest);
  });
}
