// Where the connections of a listener go: to sessions on the core's own thread, or to those of its worker threads.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { CompletionPacket, Endpoint } from '@overlapped/iocp-native';
import type { CompletionOwner, IocpCore, WorkerService } from '@overlapped/net-core';
import { EVERYONE } from './groups.js';
import type { SessionKind } from './handlers.js';
import type { HostData } from './host.js';
import type { ListenOptions } from './listener.js';
import { Session } from './session.js';
import { type SessionOptions, SessionSet, type Watermarks } from './session-set.js';

/** What a listener's sessions do, in worker threads. */
export interface WorkerSessionOptions extends Watermarks {
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

const HOST = pathToFileURL(createRequire(import.meta.url).resolve('#host')).href;

export interface Intake {
  /** Accepts bring handles, not sockets of the listener's port. */
  readonly detached: boolean;
  /** Those of the core's own thread. */
  readonly sessions: ReadonlySet<Session>;
  /** A new connection. False when it is refused. */
  take(packet: CompletionPacket): boolean;
  /** The listener has closed: ends the sessions within `grace` milliseconds. */
  stop(grace: number): Promise<void>;
}

export class LocalIntake implements Intake {
  readonly detached = false;
  readonly #core: IocpCore;
  readonly #set: SessionSet;

  constructor(core: IocpCore, options: SessionOptions) {
    this.#core = core;
    this.#set = new SessionSet(core, options, EVERYONE);
  }

  get sessions(): ReadonlySet<Session> {
    return this.#set.sessions;
  }

  take(packet: CompletionPacket): boolean {
    const socket = packet.socket!;
    if (this.#core.admit()) {
      this.#set.open(socket);
      return true;
    }
    socket.key = ignored;
    this.#core.port.close(socket, true);
    return false;
  }

  stop(grace: number): Promise<void> {
    return this.#set.stop(grace);
  }
}

export class WorkerIntake implements Intake {
  readonly detached = true;
  readonly sessions: ReadonlySet<Session> = new Set();
  /** Where the threads listen, if they do so themselves. */
  readonly endpoint: Endpoint | undefined;
  readonly #service: WorkerService;

  private constructor(service: WorkerService) {
    this.#service = service;
    this.endpoint = service.first as Endpoint | undefined;
  }

  /** Has the worker threads load the module. Rejects with what that throws. */
  static async open(core: IocpCore, options: ListenOptions & WorkerSessionOptions): Promise<WorkerIntake> {
    const data: HostData = { ...options, module: options.module.href };
    return new WorkerIntake(await core.workers.host(HOST, data));
  }

  take(packet: CompletionPacket): boolean {
    this.#service.give(packet.bytes);
    return true;
  }

  stop(grace: number): Promise<void> {
    return this.#service.stop(grace);
  }
}

/** What a user's module says that its sessions do. */
export async function loadKind(module: URL | string): Promise<SessionKind> {
  const { default: kind } = await import(String(module));
  if (typeof kind === 'object' && kind !== null) return kind;
  // A class of another copy of this package would not do.
  if (typeof kind === 'function' && kind.prototype instanceof Session) return kind;
  throw new TypeError(`${module} has no default export that is a subclass of Session, or an object of handlers`);
}

/** Whose Close packet nobody waits for. */
const ignored: CompletionOwner = { onCompletion() {} };
