// What the tests of streams share: a connection whose one end is a net.Socket or a session's stream, and the other a peer
// that is a net.Socket; and what happens at an end, written down.

import { once } from 'node:events';
import net from 'node:net';
import type { BackendName } from '@overlapped/iocp-native';
import { Core } from '@overlapped/net-core/internal';
import { onTestFinished } from 'vitest';
import type { Session, SessionDuplex } from '../src/index.js';
import { deferred, listen } from './support.js';

export interface Pair {
  readonly socket: net.Socket;
  readonly peer: net.Socket;
}

/** A core that stops with the test. */
export function openCore(backend: BackendName): Core {
  const core = new Core({ backend, threads: 0, maxSessions: 1000 });
  onTestFinished(() => core.stop(1000));
  return core;
}

/** Listens with a core, and calls `serve` with the stream of each session. */
export async function listenForStreams(core: Core, serve: (stream: SessionDuplex, session: Session) => void) {
  const listener = await listen(core, { session: { onConnected: (session) => serve(session.toDuplex(), session) } });
  return listener.endpoint.port;
}

/** A connection whose `socket` is a net.Socket of a server that allows it to be half open. */
export async function netPair(): Promise<Pair> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const peer = await dialPeer((server.address() as net.AddressInfo).port);
  const [socket] = await accepted;
  return ending({ socket, peer });
}

/** The same, where `socket` is the stream of a session. */
export async function sessionPair(backend: BackendName): Promise<Pair> {
  const opened = deferred<SessionDuplex>();
  const port = await listenForStreams(openCore(backend), opened.resolve);
  const peer = await dialPeer(port);
  return ending({ socket: (await opened.promise) as unknown as net.Socket, peer });
}

async function dialPeer(port: number): Promise<net.Socket> {
  const peer = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
  await once(peer, 'connect');
  return peer;
}

/** Both ends close with the test, and neither ends the process by an error. */
function ending(pair: Pair): Pair {
  pair.socket.on('error', () => {});
  pair.peer.on('error', () => {});
  onTestFinished(() => {
    pair.socket.destroy();
    pair.peer.destroy();
  });
  return pair;
}

/** Writes down the events of a socket, in the order in which they come. How often a buffer drains is a matter of chance. */
export function logOf(socket: net.Socket, events = ['end', 'finish', 'timeout', 'error', 'close']): string[] {
  const log: string[] = [];
  for (const event of events) {
    socket.on(event, (about: unknown) => {
      const what = event === 'error' ? codeOf(about) : about;
      log.push(what === undefined ? event : `${event} ${what}`);
    });
  }
  return log;
}

/** What tells one error from another, whoever made it. */
export function codeOf(error: unknown): string {
  const { code, name, message } = error as NodeJS.ErrnoException;
  return code ?? (name === 'Error' ? message : name);
}

/** Resolves when a statistic that has begun to grow does not change any more. */
export async function standStill(stat: () => number): Promise<void> {
  for (let before = 0; before === 0 || before !== stat(); await turns()) before = stat();
}

/**
 * Turns of the event loop, after which whatever was to happen of what is under way between two sockets of this process has
 * happened. It may take more on a busy machine: wait for an event where there is one, and let these be for what must not be.
 */
export async function turns(count = 50): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
