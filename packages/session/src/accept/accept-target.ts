// AcceptTarget: where a listener's connections go, to sessions on the core's own thread or to its worker threads.

import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CompletionPacket, type Endpoint, isIocpError } from '@overlapped/iocp-native';
import { moduleUrl, remoteEndpointOf, threadEntry } from '@overlapped/iocp-native/internal';
import type { Core, WorkerService } from '@overlapped/net-core/internal';
import { nodeCrypto } from '../builtin.js';
import { endpointOf } from '../endpoints.js';
import { reset } from '../reset.js';
import type { SessionKind } from '../session/handlers.js';
import { Session } from '../session/session.js';
import type { SessionLimits } from '../session/session-set.js';
import { TICKET_KEYS } from '../tls/context.js';
import type { TlsServerOptions } from '../tls/options.js';
import { ServerTls } from '../tls/server-tls.js';
import type { AcceptLimits } from './accept-filter.js';
import { Admission } from './admission.js';
import type { ListenerStats, ListenOptions, LocalListenOptions, TlsListenOptions } from './listener.js';
import type { WorkerOptions } from './worker-entry.js';

/** Sessions in the core's worker threads. */
export interface WorkerSessionOptions extends SessionLimits {
  /**
   * The module that each worker thread loads: a URL, or an absolute path. Its default export has the handlers: a subclass
   * of Session, or an object of handlers. It may export `onPost(key, bytes)` for packets that are posted to its thread. If the
   * core has no worker threads, the module runs on the core's own thread. There it may be the program itself; if that waits for
   * `listen()` in a top-level await, connections wait until it has been evaluated.
   */
  readonly module: URL | string;
  /**
   * Linux: each worker thread has a listening socket of its own, and the kernel distributes connections by their addresses.
   * Connections that a lost thread had not accepted are lost with it. Default: false, one thread accepts, and passes each
   * connection to the thread with the fewest sessions.
   */
  readonly reusePort?: boolean;
}

/** Milliseconds in which a module that has been evaluated is loaded. If it takes longer, it is still being evaluated. */
const LOAD_TIME = 50;
/** Milliseconds until a warning reports that the module is not evaluated yet. */
const WARN_AFTER = 5000;
const NONE: ReadonlySet<Session> = new Set();

export interface AcceptTarget {
  /** The listener's statistics, where other threads count them. */
  readonly stats?: ListenerStats;
  /** Threads of a shared port. */
  readonly threads?: number;
  /** Accepts give handles for other threads, not sockets of the listener's port. */
  readonly detached: boolean;
  /** No connection may be accepted before this settles. Null if sessions can be made at once. */
  readonly opening: Promise<void> | null;
  /** Sessions of the core's own thread. */
  readonly sessions: ReadonlySet<Session>;
  /** Sessions and connections that may become one, in all threads. */
  readonly count: number;
  /** The remote address of an accepted connection; undefined if it is gone already. */
  addressOf(packet: CompletionPacket): string | undefined;
  /** Takes a new connection. False if it is refused. */
  take(packet: CompletionPacket): boolean;
  /** Resets a new connection. */
  refuse(packet: CompletionPacket): void;
  /** The TLS of its connections. */
  readonly tls: { replace(options: TlsServerOptions): void | Promise<void> } | null;
  /** Called when the listener has closed: ends the sessions within `grace` milliseconds. */
  stop(grace: number): Promise<void>;
}

export class LocalTarget implements AcceptTarget {
  readonly detached = false;
  readonly #core: Core;
  readonly opening: Promise<void> | null;
  readonly tls: ServerTls | null;
  #admission: Admission | null = null;

  /** Throws an IocpError for certificates or options of TLS that OpenSSL does not take. */
  constructor(
    core: Core,
    options: SessionLimits & AcceptLimits & TlsListenOptions,
    kind: SessionKind | { late: Promise<SessionKind> },
  ) {
    this.#core = core;
    this.tls = options.tls ? new ServerTls(options.tls) : null;
    const open = (session: SessionKind) => {
      this.#admission = new Admission(core, { ...options, session }, this.tls, () => {});
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
    this.tls?.free();
  }
}

export class WorkerTarget implements AcceptTarget {
  readonly detached = true;
  readonly tls: AcceptTarget['tls'];
  readonly opening = null;
  readonly sessions: ReadonlySet<Session> = new Set();
  /** Where the threads listen, if each has a listening socket of its own. */
  readonly endpoint: Endpoint | undefined;
  readonly #core: Core;
  readonly #service: WorkerService;

  private constructor(core: Core, service: WorkerService, data: WorkerOptions) {
    this.#core = core;
    this.#service = service;
    const replace = (options: TlsServerOptions) => service.update({ ...data, tls: checkedTls(options) });
    this.tls = data.tls ? { replace } : null;
    this.endpoint = service.first as Endpoint | undefined;
  }

  /** Loads the module in the worker threads. Rejects with the error that the module throws. */
  static async open(
    core: Core,
    options: (ListenOptions | LocalListenOptions) & WorkerSessionOptions,
  ): Promise<WorkerTarget> {
    const data: WorkerOptions = {
      ...options,
      module: moduleUrl(options.module, 'listen'),
      ...(options.tls && { tls: checkedTls(options.tls) }),
    };
    const entry = threadEntry('#overlapped/worker-entry', import.meta.url);
    return new WorkerTarget(core, await core.workers.host(entry.href, data), data);
  }

  get count(): number {
    return this.#service.sessions();
  }

  addressOf(packet: CompletionPacket): string | undefined {
    try {
      return remoteEndpointOf(this.#core.backend, packet.handle).address;
    } catch (error) {
      if (isIocpError(error)) return undefined;
      throw error;
    }
  }

  take(packet: CompletionPacket): boolean {
    this.#service.give(packet.handle);
    return true;
  }

  refuse(packet: CompletionPacket): void {
    // Only a socket of a port can be reset. A handle that cannot be adopted is closed by adopt().
    try {
      reset(this.#core, this.#core.port.adopt(packet.handle));
    } catch (error) {
      if (!isIocpError(error)) throw error;
    }
  }

  stop(grace: number): Promise<void> {
    return this.#service.stop(grace);
  }
}

/** The options for the worker threads. Any of them accepts the tickets of the others. Throws the errors that they would throw. */
function checkedTls(options: TlsServerOptions): TlsServerOptions {
  new ServerTls(options).free();
  return { ticketKeys: nodeCrypto().randomBytes(TICKET_KEYS), ...options };
}

/** The default export of a user's module. Rejects with a TypeError if it is neither a subclass of Session nor an object. */
export async function loadKind(module: string): Promise<SessionKind> {
  const { default: kind } = await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  if (typeof kind === 'object' && kind !== null) return kind;
  // A subclass of another copy of this package's Session is refused: its sessions would not work here.
  if (typeof kind === 'function' && kind.prototype instanceof Session) return kind;
  throw new TypeError(`${module} has no default export that is a subclass of Session, or an object of handlers`);
}

/**
 * loadKind() for the thread of the caller of listen(). The module may be the caller's own. If that awaits listen() at its top
 * level, listen() must not wait for the module's evaluation (deadlock): then the promise is given as `late`.
 */
export async function loadKindHere(module: URL | string): Promise<SessionKind | { late: Promise<SessionKind> }> {
  const url = moduleUrl(module, 'listen');
  const kind = loadKind(url);
  if (!isMain(url) && !new Error().stack?.includes(url)) return kind;
  const first = await Promise.race([kind, sleep(LOAD_TIME)]);
  if (first !== undefined) return first;
  const warning = setTimeout(() => {
    const what = `${url} waits in a top-level await for something, and its listener, on this thread, for its evaluation`;
    process.emitWarning(`${what}: connections wait. Put what their sessions do into a file of its own`);
  }, WARN_AFTER).unref();
  const late = kind.finally(() => clearTimeout(warning));
  late.catch(() => {});
  return { late };
}

/** Whether the URL is the file that the process was started with. */
function isMain(url: string): boolean {
  const [, script] = process.argv;
  if (script === undefined || !url.startsWith('file:')) return false;
  try {
    return realpathSync(fileURLToPath(url)) === realpathSync(script);
  } catch {
    // No such file: import() reports that.
    return false;
  }
}

function isLate(kind: SessionKind | { late: Promise<SessionKind> }): kind is { late: Promise<SessionKind> } {
  return typeof kind === 'object' && 'late' in kind;
}
