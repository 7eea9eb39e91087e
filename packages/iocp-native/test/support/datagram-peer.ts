// The other end of datagrams, over node:dgram: an implementation that shares nothing with the port under test.

import { createSocket, type Socket } from 'node:dgram';
import { onTestFinished } from 'vitest';
import type { Endpoint } from '../../src/contract/port.js';
import { Waits } from './waits.js';

export interface Datagram {
  readonly bytes: Buffer;
  readonly port: number;
}

export class DatagramPeer {
  readonly raw: Socket;
  readonly endpoint: Endpoint;
  readonly #waits = new Waits();
  readonly #received: Datagram[] = [];
  #closed: Promise<void> | undefined;

  private constructor(raw: Socket, endpoint: Endpoint) {
    this.raw = raw;
    this.endpoint = endpoint;
    raw.on('message', (bytes, { port }) => {
      this.#received.push({ bytes, port });
      this.#waits.check();
    });
  }

  /** Closed when the test ends, at the latest. */
  static async bind(address = '127.0.0.1', port = 0): Promise<DatagramPeer> {
    const family = address.includes(':') ? 6 : 4;
    const raw = createSocket(`udp${family}`);
    await new Promise<void>((resolve, reject) => raw.once('error', reject).bind(port, address, resolve));
    const peer = new DatagramPeer(raw, { address, family, port: raw.address().port });
    onTestFinished(() => peer.close());
    return peer;
  }

  /** Resolves when the datagram is with the kernel. */
  send(bytes: Uint8Array | string, to: Endpoint): Promise<void> {
    return new Promise((resolve, reject) => {
      this.raw.send(bytes, to.port, to.address, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** The oldest datagram that has not been asked for. */
  next(): Promise<Datagram> {
    return this.#waits.until('a datagram', () => this.#received.shift());
  }

  async text(): Promise<string> {
    return String((await this.next()).bytes);
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => this.raw.close(resolve));
    return this.#closed;
  }
}
