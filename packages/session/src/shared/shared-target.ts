// SharedTarget: where the connections of a listener with shared sessions go. The threads of the shared port accept them themselves.

import type {
  CompletionPacket,
  Endpoint,
  ListenOptions as PortListenOptions,
  SocketOptions,
} from '@overlapped/iocp-native';
import { hasSocketPort, listenShared, moduleUrl } from '@overlapped/iocp-native/internal';
import type { Core } from '@overlapped/net-core/internal';
import type { AcceptTarget } from '../accept/accept-target.js';
import type { ListenerStats } from '../accept/listener.js';
import type { Session } from '../session/session.js';
import { type SharedLimits, SharedThreads } from './shared-threads.js';
import { ServiceField } from './table.js';

/** Whether threads can wait for the sockets of this core on one port. */
export function hasSharedPort(core: Core): boolean {
  return core.threads > 0 && hasSocketPort(core.backend);
}

export class SharedTarget implements AcceptTarget {
  readonly detached = true;
  readonly tls = null;
  readonly opening = null;
  readonly sessions: ReadonlySet<Session> = new Set();
  readonly stats: ListenerStats;
  readonly threads: number;
  readonly #pool: SharedThreads;
  readonly #service: number;
  #over = false;

  private constructor(pool: SharedThreads, service: number) {
    this.#pool = pool;
    this.#service = service;
    this.threads = pool.threads;
    const { words } = pool.table;
    const at = pool.table.serviceAt(service);
    const counter = (field: number) => ({
      get: () => Atomics.load(words, at + field) >>> 0,
      enumerable: true,
      configurable: true,
    });
    this.stats = Object.defineProperties({} as ListenerStats, {
      accepted: counter(ServiceField.Accepted),
      failed: counter(ServiceField.Failed),
      refused: counter(ServiceField.Refused),
    });
    pool.whenOver(service, () => this.#keepStats());
  }

  /** Loads the module in the threads of the shared port. Rejects with the error that the module throws. */
  static async open(
    core: Core,
    module: URL | string,
    limits: SharedLimits,
    options: SocketOptions,
  ): Promise<SharedTarget> {
    const pool = SharedThreads.of(core);
    return new SharedTarget(pool, await pool.open(moduleUrl(module, 'listen'), limits, options));
  }

  get count(): number {
    if (this.#over) return 0;
    return Atomics.load(this.#pool.table.words, this.#pool.table.serviceAt(this.#service) + ServiceField.Sessions);
  }

  /** Begins to accept. Throws an IocpError. */
  listen(local: Endpoint, options: PortListenOptions): Endpoint {
    const { fd, endpoint } = listenShared(local, options);
    this.#pool.listen(this.#service, fd);
    return endpoint;
  }

  addressOf(): undefined {
    return undefined;
  }

  take(_packet: CompletionPacket): boolean {
    return false;
  }

  refuse(): void {}

  stop(grace: number): Promise<void> {
    return this.#pool.close(this.#service, grace);
  }

  /** From now on the counters may be those of another listener. */
  #keepStats(): void {
    this.#over = true;
    const counted = Object.entries(this.stats).map(([name, value]) => [name, { value, enumerable: true }]);
    Object.defineProperties(this.stats, Object.fromEntries(counted));
  }
}
