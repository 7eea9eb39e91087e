// What the tests of http share: a server of Node's http that is fed with sessions instead of listening.

import { createHash } from 'node:crypto';
import http from 'node:http';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BackendName } from '@overlapped/iocp-native';
import Fastify from 'fastify';
import { onTestFinished } from 'vitest';
import type { SessionDuplex } from '../src/index.js';
import { listenForStreams, openCore } from './streams.js';

export interface Served {
  readonly server: http.Server;
  readonly port: number;
  readonly url: string;
  /** The streams of all connections that there have been. */
  readonly streams: SessionDuplex[];
}

export async function serve(backend: BackendName, server: http.Server): Promise<Served> {
  const streams: SessionDuplex[] = [];
  const port = await listenForStreams(openCore(backend), (stream) => {
    streams.push(stream);
    server.emit('connection', stream);
  });
  return { server, port, url: `http://127.0.0.1:${port}`, streams };
}

export function serveRequests(backend: BackendName, listener: http.RequestListener): Promise<Served> {
  return serve(backend, http.createServer(listener));
}

/** One request, and the whole of its answer. */
export function ask(url: string, options: http.RequestOptions = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    http
      .request(url, options, async (response) => {
        let text = '';
        for await (const part of response.setEncoding('utf8')) text += part;
        resolve({ response, text });
      })
      .on('error', reject)
      .end(body);
  });
}

export interface Answer {
  readonly response: http.IncomingMessage;
  readonly text: string;
}

export const LARGE = 64 * 1024 * 1024;
const BLOCK = 60_000;

/** LARGE bytes that nowhere repeat. */
export function largeBody(): Readable {
  let at = 0;
  return new Readable({
    read() {
      const block = Buffer.alloc(Math.min(BLOCK, LARGE - at), `${at} of the body`);
      at += block.length;
      this.push(block.length > 0 ? block : null);
    },
  });
}

export async function hashOf(body: Readable): Promise<string> {
  const hash = createHash('sha1');
  await pipeline(body, hash as Writable);
  return hash.digest('hex');
}

let largeHash: Promise<string> | undefined;

/** What hashOf(largeBody()) gives, computed once. */
export function hashOfLarge(): Promise<string> {
  largeHash ??= hashOf(largeBody());
  return largeHash;
}

/** The server of a Fastify application, which does not listen. It closes when the test has finished. */
export async function fastifyServer(): Promise<http.Server> {
  let server!: http.Server;
  const app = Fastify({
    serverFactory(handler) {
      server = http.createServer(handler);
      return server;
    },
  });
  app.get('/hello/:name', ({ params, ip }) => ({ hello: (params as { name: string }).name, ip }));
  app.post('/sum', ({ body }) => ({ sum: (body as number[]).reduce((sum, n) => sum + n, 0) }));
  await app.ready();
  onTestFinished(() => app.close());
  return server;
}
