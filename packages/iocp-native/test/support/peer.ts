// The other end of a connection, and how the rules wait for what happens there.

import type { Endpoint, PipeEndpoint } from '../../src/contract/port.js';
import type { PeerNetwork, RawServer, RawSocket } from './network.js';
import { Waits } from './waits.js';

export class Peer {
  readonly raw: RawSocket;
  ended = false;
  error: NodeJS.ErrnoException | null = null;
  closed = false;
  connected = false;
  readonly #waits = new Waits();
  #chunks: Buffer[] = [];
  #length = 0;

  /** @param reading whether to read from the start; later with raw.resume(). */
  constructor(raw: RawSocket, reading = true) {
    this.raw = raw;
    this.connected = !raw.connecting;
    if (!reading) raw.pause();
    raw.on('data', (chunk) => {
      this.#chunks.push(chunk as Buffer);
      this.#length += chunk.length;
      this.#waits.check();
    });
    const on = (name: string, change: () => void) =>
      raw.on(name, () => {
        change();
        this.#waits.check();
      });
    on('connect', () => {
      this.connected = true;
    });
    on('end', () => {
      this.ended = true;
    });
    on('close', () => {
      this.closed = true;
    });
    raw.on('error', (error) => {
      this.error = error;
      this.#waits.check();
    });
  }

  get received(): number {
    return this.#length;
  }

  /** Waits for `length` bytes and takes them. */
  async read(length: number): Promise<Buffer> {
    await this.until(
      () => `${length} bytes; there are ${this.#length}`,
      () => this.#length >= length,
    );
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(length)];
    this.#length -= length;
    return all.subarray(0, length);
  }

  until<T>(what: string | (() => string), test: () => T | undefined | false): Promise<T> {
    return this.#waits.until(what, test);
  }

  /** Resolves when the bytes are with the kernel. */
  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve, reject) => this.raw.write(bytes, (error) => (error ? reject(error) : resolve())));
  }
}

/** A server of peers, for ports that connect. */
export class PeerServer {
  #server!: RawServer;
  readonly #peers: Peer[] = [];
  readonly #waits = new Waits();

  static async listen(network: PeerNetwork, at?: PipeEndpoint): Promise<PeerServer> {
    const server = new PeerServer();
    server.#server = await network.listen((raw) => {
      server.#peers.push(new Peer(raw));
      server.#waits.check();
    }, at);
    return server;
  }

  get endpoint(): Endpoint {
    return this.#server.endpoint;
  }

  next(): Promise<Peer> {
    return this.#waits.until('a connection', () => this.#peers.shift());
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}
