// The lab: a real server on a shared port, a load for it, and a page that shows both. The page is served on a loopback address.

import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { availableParallelism } from 'node:os';
import { fileAnswer, openHttp } from '@overlapped/monitor';
import { clock } from './log.js';
import type { Greeting, Happening, News } from './messages.js';
import { LabServer } from './server.js';
import { parseSettings, type Settings } from './settings.js';

const HOST = '127.0.0.1';
/** Milliseconds between two messages to the pages. */
const PERIOD = 50;
/** The most happenings that a page that comes late is told. */
const KEPT = 4096;
/** The most bytes that wait for a page. */
const MOST_QUEUED = 1 << 20;
/** The longest body of a request, in bytes. */
const LONGEST = 1000;
/** The most packets that a page sends at once. */
const BURST = 32;

const FIRST: Settings = { concurrency: 2, load: 6, work: 200, blocking: 0 };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'";
const FILES: readonly (readonly [path: string, type: string, file: string])[] = [
  ['/', 'text/html', 'lab/page/index.html'],
  ['/style.css', 'text/css', 'lab/page/style.css'],
  ['/main.js', 'text/javascript', 'dist/page/main.js'],
];

export interface Lab {
  /** Of the page. */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Opens the port and serves the page. Port 0 takes a free one. Rejects with the system's error (EADDRINUSE ...), or if threads
 * cannot share a port here.
 */
export async function openLab(port = 0): Promise<Lab> {
  const root = new URL('../', import.meta.url);
  const files = await Promise.all(
    FILES.map(async ([path, type, file]) => [path, fileAnswer(type, await readFile(new URL(file, root)), POLICY)]),
  );
  const feed = new Feed(await LabServer.open(FIRST));
  try {
    const http = await openHttp(HOST, port, {
      ...Object.fromEntries(files),
      '/happenings': (response) => feed.add(response),
      // As /settings, with an empty queue.
      'POST /anew': (response, request) => void obey(response, request, (body) => feed.set(parseSettings(body), true)),
      'POST /settings': (response, request) => void obey(response, request, (body) => feed.set(parseSettings(body))),
      'POST /send': (response, request) => void obey(response, request, async (body) => feed.send(Number(body))),
    });
    const stop = async () => {
      await http.stop();
      await feed.close();
    };
    return { url: `${http.url}/`, stop };
  } catch (error) {
    await feed.close();
    throw error;
  }
}

/** Sends the happenings to the pages. While no page is open the load pauses. */
class Feed {
  #server: LabServer;
  #settings = FIRST;
  /** Since the port was opened. */
  #happenings: Happening[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Two changes of the port do not overlap. */
  #changed: Promise<void> = Promise.resolve();
  readonly #pages = new Set<ServerResponse>();

  constructor(server: LabServer) {
    this.#server = server;
  }

  /** Tells a page, until it goes away. */
  add(page: ServerResponse): void {
    page.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    if (page.req.method === 'HEAD') {
      page.end();
      return;
    }
    this.#tell();
    page.write('retry: 1000\n\n');
    page.once('close', () => this.#remove(page));
    this.#pages.add(page);
    this.#greet([page]);
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#tell(), PERIOD);
    this.#server.load.start();
  }

  /** Another concurrency value takes another port. @param fresh opens another port in any case */
  set(settings: Settings, fresh = false): Promise<void> {
    const change = this.#changed.then(async () => {
      const anew = fresh || settings.concurrency !== this.#settings.concurrency;
      if (anew) {
        for (const page of this.#pages) page.write('event: opening\ndata: {}\n\n');
        await this.#server.close();
        this.#server = await LabServer.open(settings);
        this.#happenings = [];
        if (this.#timer !== undefined) this.#server.load.start();
      } else {
        this.#server.load.set(settings);
      }
      this.#settings = settings;
      this.#tell();
      this.#greet(this.#pages);
    });
    this.#changed = change.catch(() => {});
    return change;
  }

  /** Sends packets beside the load. */
  send(count: number): void {
    if (!Number.isInteger(count) || count < 1 || count > BURST) throw new RangeError(`send 1 to ${BURST} packets`);
    for (let i = 0; i < count; i++) this.#server.load.send();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#changed;
    await this.#server.close();
  }

  #remove(page: ServerResponse): void {
    this.#pages.delete(page);
    if (this.#pages.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#server.load.pause();
  }

  #greet(pages: Iterable<ServerResponse>): void {
    const { backend, threads } = this.#server;
    const greeting: Greeting = { backend, threads, cores: availableParallelism(), settings: this.#settings };
    const text = `event: greeting\ndata: ${JSON.stringify(greeting)}\n\n${news(this.#happenings)}`;
    for (const page of pages) page.write(text);
  }

  #tell(): void {
    const happenings = this.#server.read();
    this.#happenings = [...this.#happenings, ...happenings].slice(-KEPT);
    if (this.#pages.size === 0) return;
    const text = news(happenings);
    for (const page of this.#pages) {
      page.write(text);
      // A page that does not keep up is disconnected. It connects again, and gets the happenings anew.
      if (page.writableLength > MOST_QUEUED) page.destroy();
    }
  }
}

function news(happenings: readonly Happening[]): string {
  const message: News = { now: clock(), happenings };
  return `data: ${JSON.stringify(message)}\n\n`;
}

/** Answers a request that asks for a change: 204, or 400 with the reason. */
async function obey(
  response: ServerResponse,
  request: IncomingMessage,
  change: (body: string) => Promise<void>,
): Promise<void> {
  try {
    let body = '';
    for await (const piece of request.setEncoding('latin1')) {
      body += piece;
      if (body.length > LONGEST) throw new RangeError(`a request has ${LONGEST} bytes at most`);
    }
    await change(body);
    response.writeHead(204).end();
  } catch (error) {
    response.writeHead(400, { 'Content-Type': 'text/plain; charset=utf-8' }).end((error as Error).message);
  }
}
