// Where the connections of a listener go: to sessions on the core's own thread, or to those of its worker threads.

import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CompletionPacket, type Endpoint, isIocpError } from '@overlapped/iocp-native';
import { moduleUrl, remoteEndpointOf, threadEntry } from '@overlapped/iocp-native/internal';
import type { IocpCore, WorkerService } from '@overlapped/net-core';
import { endpointOf } from '../endpoints.js';
import { reset } from '../reset.js';
import type { SessionKind } from '../session/handlers.js';
import { Session } from '../session/session.js';
import type { SessionLimits } from '../session/session-set.js';
import type { AcceptLimits } from './accept-filter.js';
import { Admission } from './admission.js';
import type { ListenOptions, LocalListenOptions } from './listener.js';
import type { HostData } from './worker-entry.js';

/** What a listener's sessions do, in worker threads. */
export interface WorkerSessionOptions extends SessionLimits {
  /**
   * The module that each worker thread loads: a URL, or an absolute path. Its default export says what a session does: a subclass of Session, or an
   * object of handlers. It may export `onPost(key, bytes)` for packets that are posted to its thread. Where the core has
   * no worker threads, the module runs on the core's own. If it is the program itself there, which waits for `listen()` in a
   * top-level await, connections wait until it has been evaluated.
   */
  readonly module: URL | string;
  /**
   * Linux: each worker thread has a listening socket of its own, and the kernel spreads the connections, by their
   * addresses. What a lost thread had not accepted yet is lost with it. Default: one thread accepts, and hands each
   * connection to the thread with the fewest sessions.
   */
  readonly reusePort?: boolean;
}

/** Milliseconds in which a module that is loaded, and evaluated, says what its sessions do; and until it is told that it waits. */
const EVALUATION = 50;
const WARNING = 5000;
const NONE: ReadonlySet<Session> = new Set();

export interface Intake {
  /** Accepts bring handles, not sockets of the listener's port. */
  readonly detached: boolean;
  /** No connection may be accepted before this. Null when sessions can be made at once. */
  readonly opening: Promise<void> | null;
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
  readonly opening: Promise<void> | null;
  #admission: Admission | null = null;

  constructor(
    core: IocpCore,
    options: SessionLimits & AcceptLimits,
    kind: SessionKind | { late: Promise<SessionKind> },
  ) {
    this.#core = core;
    const open = (session: SessionKind) => {
      this.#admission = new Admission(core, { ...options, session }, () => {});
    };
    this.opening = isLate(kind) ? kind.late.then(open) : null;
    if (!isLate(kind)) open(kind);
  }

  get sessions(): ReadonlySet<Session> {
    return this.#admission?.sessions ?? NONE;
  }

  get count(): number {
    return this.#admission?.count ?? 0;
  }

  addressOf(packet: CompletionPacket): string | undefined {
    return endpointOf(packet.socket, 'remoteEndpoint')?.address;
  }

  take(packet: CompletionPacket): boolean {
    return this.#admission!.take(packet.socket!);
  }

  refuse(packet: CompletionPacket): void {
    reset(this.#core, packet.socket!);
  }

  async stop(grace: number): Promise<void> {
    await this.#admission?.stop(grace);
  }
}

export class WorkerIntake implements Intake {
  readonly detached = true;
  readonly opening = null;
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
    const data: HostData = { ...options, module: moduleUrl(options.module, 'listen') };
    const host = threadEntry('#overlapped/worker-entry', import.meta.url);
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
export async function loadKind(module: string): Promise<SessionKind> {
  const { default: kind } = await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  if (typeof kind === 'object' && kind !== null) return kind;
  // A class of another copy of this package would not do.
  if (typeof kind === 'function' && kind.prototype instanceof Session) return kind;
  throw new TypeError(`${module} has no default export that is a subclass of Session, or an object of handlers`);
}

/**
 * The same on the thread of the caller of listen(), whose own module it may be. That waits in a top-level await for listen(),
 * which then must not wait for its evaluation: `late` is what it will have said.
 */
export async function loadKindHere(module: URL | string): Promise<SessionKind | { late: Promise<SessionKind> }> {
  const url = moduleUrl(module, 'listen');
  const kind = loadKind(url);
  if (!isMain(url) && !new Error().stack?.includes(url)) return kind;
  const first = await Promise.race([kind, sleep(EVALUATION)]);
  if (first !== undefined) return first;
  const warning = setTimeout(() => {
    const what = `${url} waits in a top-level await for something, and its listener, on this thread, for its evaluation`;
    process.emitWarning(`${what}: connections wait. Put what their sessions do into a file of its own`);
  }, WARNING).unref();
  const late = kind.finally(() => clearTimeout(warning));
  late.catch(() => {});
  return { late };
}

/** Whether it is the file that the process was started with. */
function isMain(url: string): boolean {
  const [, script] = process.argv;
  if (script === undefined || !url.startsWith('file:')) return false;
  try {
    return realpathSync(fileURLToPath(url)) === realpathSync(script);
  } catch {
    // No such file: import() says so.
    return false;
  }
}

function isLate(kind: SessionKind | { late: Promise<SessionKind> }): kind is { late: Promise<SessionKind> } {
  return typeof kind === 'object' && 'late' in kind;
}
