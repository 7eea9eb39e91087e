// The other end of a connection, over node:net: an implementation that shares nothing with the port under test.

import { createConnection, createServer, type Server, type Socket } from 'node:net';
import type { Endpoint, PipeEndpoint } from '../../src/contract.js';
import { Waits } from './waits.js';

export class Peer {
  readonly raw: Socket;
  ended = false;
  error: NodeJS.ErrnoException | null = null;
  closed = false;
  connected = false;
  readonly #waits = new Waits();
  #chunks: Buffer[] = [];
  #length = 0;

  /** @param reading whether to read from the start; later with raw.resume(). */
  constructor(raw: Socket, reading = true) {
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

  static connect(to: Endpoint | PipeEndpoint, reading = true): Peer {
    const target = 'path' in to ? to : { host: to.address, port: to.port };
    return new Peer(createConnection({ ...target, allowHalfOpen: true, noDelay: true }), reading);
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

/** A node:net server, for ports that connect. */
export class PeerServer {
  readonly #server: Server;
  readonly #peers: Peer[] = [];
  readonly #waits = new Waits();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (raw) => {
      this.#peers.push(new Peer(raw));
      this.#waits.check();
    });
  }

  static listen(at: { readonly path: string } | { readonly port: number } = { port: 0 }): Promise<PeerServer> {
    const server = createServer({ allowHalfOpen: true });
    return new Promise((resolve) => server.listen({ host: '127.0.0.1', ...at }, () => resolve(new PeerServer(server))));
  }

  get endpoint(): Endpoint {
    const { port } = this.#server.address() as { port: number };
    return { address: '127.0.0.1', family: 4, port };
  }

  next(): Promise<Peer> {
    return this.#waits.until('a connection', () => this.#peers.shift());
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
