// Sends samples to every page that is open, as server-sent events (https://html.spec.whatwg.org/#server-sent-events).
// While none is, nothing is measured.

import { channel } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import type { IocpCore, ServerStats } from '@overlapped/session';
import type { Greeting } from './sample.js';
import { Sampler } from './sampler.js';

/** Milliseconds after which a page that has lost the server asks again. */
const RETRY = 1000;

/** A pool of jobs, as `JobPool` of @overlapped/jobs is. */
export interface Jobs {
  readonly stats: {
    readonly queued: number;
    readonly running: number;
    readonly finished: number;
    readonly failed: number;
    readonly wakeUps: readonly number[];
  };
}

export interface MonitorOptions {
  /** The server's name, for the page's title, which also has the address. Default `Overlapped`. */
  readonly name?: string;
  /** A pool of jobs, whose queue and threads the page shows, too. */
  readonly jobs?: Jobs;
}

/** Where a core reports, once a second. */
const reports = channel('overlapped:stats');

export class Feed {
  readonly #core: IocpCore;
  readonly #options: MonitorOptions;
  readonly #pages = new Set<ServerResponse>();
  #sampler: Sampler | undefined;

  constructor(core: IocpCore, options: MonitorOptions) {
    this.#core = core;
    this.#options = options;
  }

  /** Answers a page, until it goes away. */
  add(page: ServerResponse): void {
    page.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    if (page.req.method === 'HEAD') {
      page.end();
      return;
    }
    page.write(`retry: ${RETRY}\nevent: greeting\ndata: ${JSON.stringify(this.#greeting())}\n\n`);
    page.once('close', () => this.#remove(page));
    this.#pages.add(page);
    if (this.#sampler) return;
    this.#sampler = new Sampler(this.#core.stats(), this.#options.jobs);
    reports.subscribe(this.#report);
  }

  #remove(page: ServerResponse): void {
    this.#pages.delete(page);
    if (this.#pages.size > 0) return;
    reports.unsubscribe(this.#report);
    this.#sampler?.stop();
    this.#sampler = undefined;
  }

  #greeting(): Greeting {
    const { backend, threads } = this.#core;
    const { name = 'Overlapped', jobs } = this.#options;
    const jobThreads = jobs?.stats.wakeUps.length ?? 0;
    // Also the threads of the shared port, once they run.
    const workers = this.#core.stats().workers.length || threads;
    return { name, backend, workers, jobThreads, pid: process.pid, version: process.version };
  }

  readonly #report = (message: unknown): void => {
    const { core, stats } = message as { core: IocpCore; stats: ServerStats };
    if (core !== this.#core || !this.#sampler) return;
    const event = `data: ${JSON.stringify(this.#sampler.sample(stats))}\n\n`;
    // A page that does not keep up misses samples, and costs no more memory.
    for (const page of this.#pages) if (!page.writableNeedDrain) page.write(event);
  };
}
