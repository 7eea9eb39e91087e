// The load of the lab: clients of node:net, each with one request at a time, so that every packet has a number.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { measure } from './compute.js';
import type { Log } from './log.js';
import { encode } from './request.js';
import type { Settings } from './settings.js';

/** The longest queue is of so many packets: then each client waits for an answer. */
const CLIENTS = 32;

/** Steps in a millisecond, measured at the first load. */
let speed = 0;

export class Load {
  readonly #log: Log;
  readonly #clients: Socket[] = [];
  readonly #free: Socket[] = [];
  #settings: Settings;
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #number = 0;
  /** Percent of a blocking request that is due. */
  #blockingDue = 0;

  constructor(log: Log, settings: Settings) {
    this.#log = log;
    this.#settings = settings;
    speed ||= measure();
  }

  /** Connects the clients. Rejects with an error of node:net. */
  async connect(port: number): Promise<void> {
    for (let i = 0; i < CLIENTS; i++) {
      const client = connect({ port, host: '127.0.0.1', noDelay: true });
      this.#clients.push(client);
      await once(client, 'connect');
      client.on('data', () => this.#free.push(client));
      client.on('error', () => client.destroy());
      this.#free.push(client);
    }
  }

  /** Sends as the settings say from now on. */
  set(settings: Settings): void {
    this.#settings = settings;
    if (this.#running) this.start();
  }

  start(): void {
    this.pause();
    this.#running = true;
    const { load } = this.#settings;
    if (load > 0) this.#timer = setInterval(() => this.send(), 1000 / load);
  }

  pause(): void {
    clearInterval(this.#timer);
    this.#running = false;
  }

  /** Sends a request. False if every client waits for an answer. */
  send(): boolean {
    const client = this.#free.shift();
    if (client === undefined) return false;
    const { work } = this.#settings;
    const blocking = this.#isBlocking();
    const number = ++this.#number;
    this.#log.write('sent', 0, number, blocking ? 1 : 0);
    client.write(encode({ number, blocking, amount: blocking ? work : Math.round(work * speed) }));
    return true;
  }

  close(): void {
    this.pause();
    for (const client of this.#clients) client.destroy();
  }

  /** Spreads the blocking requests evenly. */
  #isBlocking(): boolean {
    this.#blockingDue += this.#settings.blocking;
    if (this.#blockingDue < 100) return false;
    this.#blockingDue -= 100;
    return true;
  }
}
