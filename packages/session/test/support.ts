// What the session tests share: every backend that is available here, a core that must end empty, and a peer that is
// somebody else's code (node:net).

import { once } from 'node:events';
import net from 'node:net';
import type { Readable } from 'node:stream';
import { type BackendName, candidates } from '@overlapped/iocp-native';
import type { IocpCoreOptions } from '@overlapped/net-core';
import { Core } from '@overlapped/net-core/internal';
import { describe, expect, test } from 'vitest';
import { Listener, type ListenOptions, type SessionOptions } from '../src/index.js';

const required = process.env.OVERLAPPED_REQUIRE === 'all';

/** The platform's own backend must be there when all are required; what does not belong to the platform never is. */
const NATIVE: Partial<Record<NodeJS.Platform, BackendName>> = { linux: 'io_uring', win32: 'iocp' };

/**
 * Runs a suite on every backend that is available here. The session has no code for a backend, so beside io_uring the epoll
 * is run in the suites whose work is mostly the driver's (onEveryBackend()), and in all when all are required.
 */
export function onEachBackend(suite: (backend: BackendName) => void, alsoEpoll = required): void {
  const hasRing = candidates().some(({ name, availability }) => name === 'io_uring' && availability.available);
  for (const { name, availability } of candidates()) {
    if (name === 'epoll' && hasRing && !alsoEpoll) continue;
    if (availability.available) describe(name, () => suite(name));
    else if (required && NATIVE[process.platform] === name)
      test(`${name}: ${availability.reason}`, () => expect.fail());
    else test.skip(`${name}: ${availability.reason}`, () => {});
  }
}

/** The same with the epoll in any case. */
export function onEveryBackend(suite: (backend: BackendName) => void): void {
  onEachBackend(suite, true);
}

/** Runs `use` with a core, then stops it and sees that nothing is left behind. */
export async function withCore(options: IocpCoreOptions, use: (core: Core) => Promise<void>): Promise<void> {
  const core = new Core(options);
  try {
    await use(core);
  } finally {
    await core.stop(1000);
  }
  expect(core.port.stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0, dropped: 0 });
  expect(core.timers.size).toBe(0);
}

export function listen(core: Core, options: Omit<ListenOptions & SessionOptions, 'port'>): Promise<Listener> {
  return Listener.listen(core, { host: '127.0.0.1', port: 0, ...options });
}

/** Connects a peer to a listener. It does not read until somebody listens for its data. */
export async function peerOf(listener: Listener, allowHalfOpen = false): Promise<net.Socket> {
  const socket = dial(listener, allowHalfOpen);
  await once(socket, 'connect');
  return socket;
}

/** The same, without waiting: for a session that may be gone before the peer has noticed that it is there. */
export function dial(listener: Listener, allowHalfOpen = false): net.Socket {
  const socket = net.connect({ host: '127.0.0.1', port: listener.endpoint.port, allowHalfOpen });
  socket.on('error', () => {});
  return socket;
}

/** Resolves when a peer's socket has closed, in whatever way. */
export function closing(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
  });
}

/** Reads exactly `length` bytes. */
export function read(socket: Readable, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let got = 0;
    const done = (error?: Error) => {
      socket.off('data', onData);
      socket.off('close', onClose);
      if (error) reject(error);
      else resolve(Buffer.concat(chunks));
    };
    const onClose = () => done(new Error(`the peer closed after ${got} of ${length} bytes`));
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      got += chunk.length;
      if (got >= length) done();
    };
    socket.on('data', onData);
    socket.on('close', onClose);
  });
}

/** A promise, and what settles it. */
export function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const cycle = Uint8Array.from({ length: 251 }, (_, i) => i);

/** Bytes that repeat only every 251, so that a piece in the wrong place shows. */
export function pattern(length: number): Buffer {
  return Buffer.alloc(length, cycle);
}
