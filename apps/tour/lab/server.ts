// The server of the lab: a core with a shared port of one concurrency value, its listener, and the load. A port is given its
// value when it is opened, so another value takes another server.

import { setEnvironmentData } from 'node:worker_threads';
import { IocpCore, Listener } from '@overlapped/session';
import { Load } from './load.js';
import { LOG, Log } from './log.js';
import type { Happening } from './messages.js';
import type { Settings } from './settings.js';

export class LabServer {
  readonly load: Load;
  readonly #core: IocpCore;
  readonly #log = new Log();
  /** The ids of the port's threads, in the order in which they became ready. */
  readonly #ids: number[] = [];
  #threads = 0;

  private constructor(settings: Settings) {
    this.#core = new IocpCore({
      concurrency: settings.concurrency,
      threads: settings.concurrency * 2,
      maxSessions: 64,
    });
    this.load = new Load(this.#log, settings);
  }

  /** Rejects with an IocpError, with an error of node:net, or if threads cannot share a port here. */
  static async open(settings: Settings): Promise<LabServer> {
    const server = new LabServer(settings);
    try {
      await server.#listen();
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  get backend(): string {
    return this.#core.backend;
  }

  /** Threads that wait on the port. */
  get threads(): number {
    return this.#threads;
  }

  /** The happenings since the last call. */
  read(): Happening[] {
    return this.#log.read().map(({ at, kind, thread, request, blocking }) => {
      if (thread !== 0 && !this.#ids.includes(thread)) this.#ids.push(thread);
      return [at, kind, this.#ids.indexOf(thread), request, blocking];
    });
  }

  async close(): Promise<void> {
    this.load.close();
    await this.#core.stop(0);
  }

  async #listen(): Promise<void> {
    // The threads that listen() starts get it.
    setEnvironmentData(LOG, this.#log.buffer);
    const shared = new URL('./lab-session.js', import.meta.url);
    const listener = await Listener.listen(this.#core, { host: '127.0.0.1', port: 0, shared });
    if (listener.threads === 0) throw new Error('Cannot open the lab: this system has no port that threads can share');
    this.#threads = listener.threads;
    await this.load.connect(listener.endpoint.port);
  }
}
