// Where the connections of a listener go: to sessions on the core's own thread, or to those of its worker threads.

import { type CompletionPacket, type Endpoint, isIocpError } from '@overlapped/iocp-native';
import { remoteEndpointOf } from '@overlapped/iocp-native/threads';
import { type IocpCore, threadEntry, type WorkerService } from '@overlapped/net-core';
import { Admission } from './admission.js';
import { endpointOf } from './endpoints.js';
import type { SessionKind } from './handlers.js';
import type { HostData } from './host.js';
import type { AcceptLimits } from './limits.js';
import type { ListenOptions, LocalListenOptions } from './listener.js';
import { reset } from './reset.js';
import { Session } from './session.js';
import type { SessionLimits, SessionOptions } from './session-set.js';

/** What a listener's sessions do, in worker threads. */
export interface WorkerSessionOptions extends SessionLimits {
  /**
   * The module that each worker thread loads. Its default export says what a session does: a subclass of Session, or an
   * object of handlers. It may export `onPost(key, bytes)` for packets that are posted to its thread. Where the core has
   * no worker threads, the module runs on the core's own.
   */
  readonly module: URL;
  /**
   * Linux: each worker thread has a listening socket of its own, and the kernel spreads the connections, by their
   * addresses. What a lost thread had not accepted yet is lost with it. Default: one thread accepts, and hands each
   * connection to the thread with the fewest sessions.
   */
  readonly reusePort?: boolean;
}

export interface Intake {
  /** Accepts bring handles, not sockets of the listener's port. */
  readonly detached: boolean;
  /** Those of the core's own thread. */
  readonly sessions: ReadonlySet<Session>;
  /** Sessions, and what may become one, in all threads. */
  readonly count: number;
  /** Where the connection of an accept comes from; undefined if it is gone already. */
  addressOf(packet: CompletionPacket): string | undefined;
  /** A new connection. False when it is refused. */
  take(packet: CompletionPacket): boolean;
  /** Resets a new connection. */
  refuse(packet: CompletionPacket): void;
  /** The listener has closed: ends the sessions within `grace` milliseconds. */
  stop(grace: number): Promise<void>;
}

export class LocalIntake implements Intake {
  readonly detached = false;
  readonly #core: IocpCore;
  readonly #admission: Admission;

  constructor(core: IocpCore, options: SessionOptions & AcceptLimits) {
    this.#core = core;
    this.#admission = new Admission(core, options, () => {});
  }

  get sessions(): ReadonlySet<Session> {
    return this.#admission.sessions;
  }

  get count(): number {
    return this.#admission.count;
  }

  addressOf(packet: CompletionPacket): string | undefined {
    return endpointOf(packet.socket, 'remoteEndpoint')?.address;
  }

  take(packet: CompletionPacket): boolean {
    return this.#admission.take(packet.socket!);
  }

  refuse(packet: CompletionPacket): void {
    reset(this.#core, packet.socket!);
  }

  stop(grace: number): Promise<void> {
    return this.#admission.stop(grace);
  }
}

export class WorkerIntake implements Intake {
  readonly detached = true;
  readonly sessions: ReadonlySet<Session> = new Set();
  /** Where the threads listen, if they do so themselves. */
  readonly endpoint: Endpoint | undefined;
  readonly #core: IocpCore;
  readonly #service: WorkerService;

  private constructor(core: IocpCore, service: WorkerService) {
    this.#core = core;
    this.#service = service;
    this.endpoint = service.first as Endpoint | undefined;
  }

  /** Has the worker threads load the module. Rejects with what that throws. */
  static async open(
    core: IocpCore,
    options: (ListenOptions | LocalListenOptions) & WorkerSessionOptions,
  ): Promise<WorkerIntake> {
    const data: HostData = { ...options, module: options.module.href };
    const host = threadEntry('#overlapped/host', import.meta.url);
    return new WorkerIntake(core, await core.workers.host(host.href, data));
  }

  get count(): number {
    return this.#service.sessions();
  }

  addressOf(packet: CompletionPacket): string | undefined {
    try {
      return remoteEndpointOf(this.#core.backend, packet.bytes).address;
    } catch (error) {
      if (isIocpError(error)) return undefined;
      throw error;
    }
  }

  take(packet: CompletionPacket): boolean {
    this.#service.give(packet.bytes);
    return true;
  }

  refuse(packet: CompletionPacket): void {
    // Only a port's own socket can be reset. What cannot be adopted is closed.
    try {
      reset(this.#core, this.#core.port.adopt(packet.bytes));
    } catch (error) {
      if (!isIocpError(error)) throw error;
    }
  }

  stop(grace: number): Promise<void> {
    return this.#service.stop(grace);
  }
}

/** What a user's module says that its sessions do. */
export async function loadKind(module: URL | string): Promise<SessionKind> {
  const { default: kind } = await import(/* webpackIgnore: true */ /* @vite-ignore */ String(module));
  if (typeof kind === 'object' && kind !== null) return kind;
  // A class of another copy of this package would not do.
  if (typeof kind === 'function' && kind.prototype instanceof Session) return kind;
  throw new TypeError(`${module} has no default export that is a subclass of Session, or an object of handlers`);
}
