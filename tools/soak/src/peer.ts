// Peer: the other end of a connection, somebody else's code (node:net), which compares what comes back.

import { once } from 'node:events';
import net from 'node:net';

export class Peer {
  readonly socket: net.Socket;
  #error: Error | undefined;
  #wake: (() => void) | undefined;
  #reads = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    const wake = () => this.#wake?.();
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('end', wake);
    socket.on('close', wake);
  }

  /** It reads nothing until it is asked to. */
  static async connect(port: number, localAddress?: string): Promise<Peer> {
    const source = localAddress === undefined ? {} : { localAddress };
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true, ...source });
    const peer = new Peer(socket);
    await once(socket, 'connect');
    return peer;
  }

  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let got = 0; got < length; ) {
      const part: Buffer | null = this.socket.read(Math.min(length - got, this.socket.readableLength) || 1);
      if (part !== null) {
        parts.push(part);
        got += part.length;
      } else if (this.socket.readableEnded || this.socket.closed) {
        throw new Error(`the connection ended after ${got} of ${length} bytes: ${this.#error?.message ?? 'a FIN'}`);
      } else await this.#more();
    }
    return Buffer.concat(parts);
  }

  /** Reads as many bytes, which must be the same. */
  async expect(bytes: Buffer): Promise<void> {
    const got = await this.read(bytes.length);
    if (got.equals(bytes)) return;
    const at = got.findIndex((byte, i) => byte !== bytes[i]);
    throw new Error(`byte ${at} of ${bytes.length} is ${got[at]} and not ${bytes[at]}`);
  }

  /** Ends, and waits for the other's end, before which nothing may come. */
  async end(): Promise<void> {
    this.socket.end();
    while (!this.socket.readableEnded && !this.socket.closed) {
      const more = this.socket.read();
      if (more !== null) throw new Error(`${more.length} bytes came that nobody sent`);
      await this.#more();
    }
    if (this.#error) throw this.#error;
    if (!this.socket.closed) await once(this.socket, 'close');
  }

  async reset(): Promise<void> {
    this.socket.resetAndDestroy();
    if (!this.socket.closed) await once(this.socket, 'close');
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#reads) return;
      this.#reads = true;
      this.socket.on('readable', () => this.#wake?.());
    });
  }
}
