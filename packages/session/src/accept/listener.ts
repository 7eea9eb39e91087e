// Listener: accepts connections, with several accepts outstanding, and makes a session for each. No failed accept ends
// it: it backs off when the system is out of something, or fails again and again, and resumes.

import {
  type CompletionPacket,
  type Endpoint,
  endpoint,
  IocpError,
  isIocpError,
  Operation,
  type PipeEndpoint,
  type PortSocket,
  type SocketOptions,
} from '@overlapped/iocp-native';
import {
  type CompletionOwner,
  checkGrace,
  type IocpCore,
  onCompletion,
  type Stoppable,
  Timer,
} from '@overlapped/net-core';
import type { IocpEvent } from '@overlapped/object-pool';
import { addressOf } from '../hosts.js';
import { checkListen } from '../options.js';
import { ignored } from '../reset.js';
import type { Session } from '../session/session.js';
import { DEFAULT_GRACE, type SessionOptions } from '../session/session-set.js';
import { socketOptions } from '../socket-options.js';
import { type AcceptLimits, Gate } from './accept-filter.js';
import { type Intake, LocalIntake, loadKindHere, WorkerIntake, type WorkerSessionOptions } from './accept-target.js';

/** Where a listener listens, what it lets in, and what its sockets are set to. */
export interface ListenOptions extends SocketOptions, AcceptLimits {
  /** 0 takes a free one; `listener.endpoint` says which. */
  readonly port: number;
  /** A name or an address. Default `::`, which takes IPv4 clients too; `0.0.0.0` where there is no IPv6. */
  readonly host?: string;
  /** An IPv6 address takes IPv6 clients only, so that another listener may take the IPv4 ones. Default false. */
  readonly ipv6Only?: boolean;
  /** Connections that the kernel may hold until they are accepted. Default 4096, cut by the system's own limit. */
  readonly backlog?: number;
}

/** Sessions on the core's own thread (`session`), or in its worker threads (`module`). */
export type ListenerOptions = ListenOptions & (SessionOptions | WorkerSessionOptions);

/** A local socket: the options of TCP mean nothing to it. */
export interface LocalListenOptions extends SocketOptions, Pick<AcceptLimits, 'maxSessions' | 'rate' | 'whenFull'> {
  /**
   * The file of a Unix-domain socket, which is removed when the listener closes; on Linux also an abstract name, which
   * begins with "\0"; on Windows a named pipe, `\\.\pipe\NAME`.
   */
  readonly path: string;
  /** As for an address. A named pipe has none. */
  readonly backlog?: number;
}

/** A named pipe serves the core's own thread only: with `module` it rejects with ENOTSUP, unless `threads` is 0. */
export type LocalListenerOptions = LocalListenOptions & (SessionOptions | Omit<WorkerSessionOptions, 'reusePort'>);

type AnyListenOptions = (ListenOptions | LocalListenOptions) & { readonly reusePort?: boolean };

/** Counters since the listener opened. */
export interface ListenerStats {
  /** Connections that were taken out of the kernel's queue and became sessions, or went to a worker thread. */
  accepted: number;
  /** Accepts that failed. */
  failed: number;
  /** Connections that were reset at once. Why, the core's statistics say; and there are those that its threads refuse. */
  refused: number;
}

const ACCEPTS = 256;
/** Milliseconds that failed accepts wait. */
const BACK_OFF = 100;
/** Milliseconds after which a listener that leaves connections to the kernel looks whether there is room. */
const LOOK_AGAIN = 20;
/** A peer that had gone before it was accepted. It says nothing about the next one. */
const GONE = 'ECONNABORTED';
const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

type AcceptEvent = IocpEvent<CompletionOwner>;

/** Accepts connections and makes a session for each. It belongs to the thread of its core, which stops it. */
export class Listener<At extends Endpoint | PipeEndpoint = Endpoint> implements Stoppable {
  /** Where it listens: an address and a port, or the path. */
  readonly endpoint: At;
  /** Kept up to date: the same object each time. */
  readonly stats: ListenerStats = { accepted: 0, failed: 0, refused: 0 };
  readonly #core: IocpCore;
  /** Null when each worker thread listens for itself. */
  readonly #socket: PortSocket | null;
  readonly #intake: Intake;
  readonly #gate: Gate;
  readonly #again = new Timer(() => {
    this.#exhausted = false;
    this.#acceptMore();
  });
  /** Events of accepts that are not with the port: for want of room, or of what the system is out of. */
  readonly #resting: AcceptEvent[] = [];
  #accepting = 0;
  /** No connection has come since an accept failed. */
  #failing = false;
  /**
   * The system was out of something, or accepts fail one after the other, as when its network is gone: none is started
   * until the back-off is over.
   */
  #exhausted = false;
  #closed: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(core: IocpCore, socket: PortSocket | null, intake: Intake, endpoint: At, gate: Gate) {
    this.#core = core;
    this.#socket = socket;
    this.#intake = intake;
    this.#gate = gate;
    this.endpoint = endpoint;
    core.attach(this);
    if (socket === null) return;
    socket.key = this;
    // A small part of what is left, so that the next ones find some: the events of a core do for more than 150 listeners.
    const accepts = Math.min(ACCEPTS, Math.ceil(core.listenerEvents.free / 32));
    for (let i = 0; i < accepts; i++) this.#resting.push(core.listenerEvents.acquire(this, Operation.Accept)!);
    if (intake.opening === null) this.#acceptMore();
    else
      void intake.opening.then(
        () => this.#opened(),
        (error) => this.#failed(error),
      );
  }

  /**
   * Starts to listen. Rejects with an IocpError (EADDRINUSE, EACCES, EADDRNOTAVAIL, EINVAL; ENOBUFS when other listeners,
   * more than 150, have taken all events ...), with what the resolver says of the name, what the module throws, or a TypeError or
   * RangeError for an option that is none, or makes no sense. A path is in use, too, while the file of a listener that died is there.
   */
  static listen(core: IocpCore, options: LocalListenerOptions): Promise<Listener<PipeEndpoint>>;
  static listen(core: IocpCore, options: ListenerOptions): Promise<Listener>;
  static async listen(
    core: IocpCore,
    given: ListenerOptions | LocalListenerOptions,
  ): Promise<Listener<Endpoint> | Listener<PipeEndpoint>> {
    const options = checkListen(given);
    const gate = new Gate(options, core.timers);
    if (!('module' in options))
      return Listener.#bind(core, options, new LocalIntake(core, options, options.session), gate);
    if (core.threads === 0) {
      const kind = await loadKindHere(options.module);
      return Listener.#bind(core, options, new LocalIntake(core, options, kind), gate);
    }
    const intake = await WorkerIntake.open(core, options);
    // Each thread listens for itself.
    if (intake.endpoint) return new Listener(core, null, intake, intake.endpoint, gate);
    return Listener.#bind(core, options, intake, gate);
  }

  /** Opens the socket and starts to accept. */
  static async #bind(
    core: IocpCore,
    options: AnyListenOptions,
    intake: Intake,
    gate: Gate,
  ): Promise<Listener<Endpoint> | Listener<PipeEndpoint>> {
    try {
      const socket = await bind(core, options, intake.detached);
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
      if ('path' in options) return new Listener<PipeEndpoint>(core, socket, intake, { path: options.path }, gate);
      return new Listener(core, socket, intake, socket.localEndpoint(), gate);
    } catch (error) {
      await intake.stop(0);
      throw error;
    }
  }

  /** The sessions that are open on the core's own thread. */
  get sessions(): ReadonlySet<Session> {
    return this.#intake.sessions;
  }

  /**
   * Stops accepting and ends the sessions; what has not ended after `grace` milliseconds (default 5000) is destroyed. A
   * session that is used as a stream is left to whom that was given, as by server.close() of node:net: an http server goes on
   * with its answers.
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
      if (this.#letIn(packet)) this.stats.accepted++;
      else this.stats.refused++;
    } else if (this.#stopped === undefined) {
      this.stats.failed++;
      if (packet.error.code !== GONE) {
        if (this.#failing || EXHAUSTED.has(packet.error.code)) this.#exhausted = true;
        this.#failing = true;
      }
    }
    if (event === null) return;
    this.#accepting--;
    if (this.#stopped === undefined) {
      this.#resting.push(event);
      this.#acceptMore();
    } else {
      this.#core.listenerEvents.release(event);
    }
  }

  /** What the sessions do is known now. */
  #opened(): void {
    if (this.#stopped === undefined) this.#acceptMore();
  }

  /** It cannot be known any more: nobody waits for listen() now, so a warning says why. */
  #failed(error: Error): void {
    process.emitWarning(error);
    void this.stop(0);
  }

  #letIn(packet: CompletionPacket): boolean {
    const address = this.#gate.screens ? this.#intake.addressOf(packet) : undefined;
    const reason = this.#gate.refuses(address, this.#intake);
    if (reason < 0) return this.#intake.take(packet);
    this.#core.places.refuse(reason);
    this.#intake.refuse(packet);
    return false;
  }

  /** Starts as many accepts as there may be; when that is not all of them, it is called again. */
  #acceptMore(): void {
    if (!this.#exhausted) {
      const most = this.#gate.waits ? this.#gate.vacancies(this.#intake) : ACCEPTS;
      while (this.#resting.length > 0 && this.#accepting < most) {
        this.#accepting++;
        this.#core.port.accept(this.#socket!, this.#resting.pop()!);
      }
    }
    if (this.#resting.length === 0 || this.#again.index >= 0) return;
    this.#core.timers.set(this.#again, this.#exhausted ? BACK_OFF : LOOK_AGAIN);
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
    this.#core.timers.clear(this.#again);
    for (const event of this.#resting.splice(0)) this.#core.listenerEvents.release(event);
    this.#core.port.close(socket);
    await closed;
  }
}

async function bind(core: IocpCore, options: AnyListenOptions, detached: boolean): Promise<PortSocket> {
  const { backlog, reusePort } = options;
  const rest = {
    ...socketOptions(options),
    detached,
    ...(backlog !== undefined && { backlog }),
    ...(reusePort !== undefined && { reusePort }),
  };
  if ('path' in options) return core.port.listen({ path: options.path }, rest);
  const { host, port, ipv6Only = false } = options;
  const address = host === undefined ? '::' : await addressOf(host);
  const only = ipv6Only ? { ...rest, ipv6Only } : rest;
  return core.port.listen(endpoint(address, port), only).catch((error: unknown) => {
    const noIPv6 = isIocpError(error) && (error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL');
    if (host !== undefined || ipv6Only || !noIPv6) throw error;
    return core.port.listen(endpoint('0.0.0.0', port), rest);
  });
}
