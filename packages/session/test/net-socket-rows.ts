// The behaviours of a net.Socket that a session's stream has, too: how both ways end. Each row runs against both, and what
// is written down must be the same, unless the row says what differs, and why.

import { once } from 'node:events';
import type net from 'node:net';
import { addAbortSignal, finished } from 'node:stream';
import { codeOf, turns } from './streams.js';
import { pattern, read } from './support.js';

export interface Stage {
  readonly socket: net.Socket;
  /** Its other end, whose data waits until somebody listens. */
  readonly peer: net.Socket;
  /** The events at `socket`, and what else has its place among them. */
  readonly log: string[];
  /** What the row finds out. */
  readonly notes: string[];
  /** What happens at `peer`. */
  readonly peerLog: string[];
  readonly closed: Promise<void>;
  readonly peerClosed: Promise<void>;
}

export interface Row {
  readonly name: string;
  readonly run: (stage: Stage) => Promise<unknown>;
  /** Where the stream of a session is meant to differ: its own logs, in the order of the socket's and the peer's. */
  readonly differs?: {
    readonly because: string;
    readonly log: readonly string[];
    readonly notes?: readonly string[];
    readonly peerLog: readonly string[];
  };
}

/** More than the buffers of a connection take. */
export const MUCH = 30_000_000;

export const REFUSES_TO_PRETEND =
  'net.Socket closes as if the stream were whole; a peer must be able to tell an end from a stream that was cut';

export const endings: Row[] = [
  {
    name: 'the peer ends first: the socket may still send, and closes when it has ended, too',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.resume();
      peer.end();
      await once(socket, 'end');
      notes.push(`writable ${socket.writable}`);
      socket.end('answer');
      notes.push((await read(peer, 6)).toString());
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'the socket ends first: it still receives until the peer ends',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.end();
      await once(peer.resume(), 'end');
      notes.push(`readable ${socket.readable}`);
      peer.end('last words');
      notes.push((await read(socket, 10)).toString());
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: "with allowHalfOpen = false the peer's end ends the socket",
    async run({ socket, peer, closed, peerClosed }) {
      socket.allowHalfOpen = false;
      socket.resume();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'with allowHalfOpen = false what was written is flushed first',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.allowHalfOpen = false;
      socket.resume();
      socket.write(pattern(300_000));
      peer.end();
      await once(socket, 'end');
      notes.push(`${(await read(peer, 300_000)).equals(pattern(300_000))}`);
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'end(data, callback): the callback comes with finish',
    async run({ socket, peer, log, closed, peerClosed }) {
      socket.resume().end('x', () => log.push('end callback'));
      socket.on('prefinish', () => log.push('prefinish'));
      await once(peer.resume(), 'end');
      peer.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'end() twice: the second callback gets an error, and the stream does not',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.resume().end();
      await once(socket, 'finish');
      await new Promise<void>((resolve) =>
        socket.end((error?: Error) => {
          notes.push(`end callback ${error && codeOf(error)}`);
          resolve();
        }),
      );
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: "a socket that is not read says 'end' all the same, as nothing is left to read",
    async run({ socket, peer, closed, peerClosed }) {
      peer.resume().end();
      await once(socket, 'end');
      socket.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'nor does it have to be read to be closed with allowHalfOpen = false',
    async run({ socket, peer, closed, peerClosed }) {
      socket.allowHalfOpen = false;
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'await once() for one event after the other misses none',
    async run({ socket, peer, notes, peerClosed }) {
      peer.resume().end('x');
      notes.push(String((await once(socket, 'data'))[0]));
      await once(socket, 'end');
      socket.end('answer');
      await once(socket, 'finish');
      await once(socket, 'close');
      await peerClosed;
    },
  },
  {
    name: 'await once() for the error, and then for close',
    async run({ socket, peer, notes, peerClosed }) {
      peer.write('x');
      await once(socket, 'data');
      const failed = new Promise<Error>((resolve) => socket.once('error', resolve));
      peer.resetAndDestroy();
      notes.push(codeOf(await failed));
      await once(socket, 'close');
      await peerClosed;
    },
  },
  {
    name: 'destroySoon() sends what waits, ends, and closes without waiting for the peer',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.write(pattern(MUCH));
      socket.destroySoon();
      notes.push(`writable ${socket.writable}`, `${(await read(peer, MUCH)).equals(pattern(MUCH))}`);
      await closed;
      peer.end();
      await peerClosed;
    },
  },
  {
    name: 'destroy() while nothing waits: the peer sees an end',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const ended = once(peer.resume(), 'end');
      notes.push(`${socket.destroy() === socket}`, `destroyed ${socket.destroyed}`);
      await closed;
      notes.push(`closed ${socket.closed}`);
      await ended;
      peer.end();
      await peerClosed;
    },
  },
  {
    name: 'destroy(error): error, then close',
    async run({ socket, peer, closed, peerClosed }) {
      peer.resume();
      socket.destroy(new Error('enough'));
      await closed;
      peer.end();
      await peerClosed;
    },
    differs: {
      because: REFUSES_TO_PRETEND,
      log: ['error enough', 'close true'],
      peerLog: ['error ECONNRESET', 'close true'],
    },
  },
  {
    name: 'destroy(error) right after a write(): the last words arrive, and the peer sees an end',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const ended = once(peer, 'end');
      socket.write('this is why');
      socket.destroy(new Error('enough'));
      notes.push((await read(peer, 11)).toString());
      await Promise.all([closed, ended]);
      peer.end();
      await peerClosed;
    },
  },
  {
    name: 'destroy() after two writes: both arrive, and the peer sees an end',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      const ended = once(peer, 'end');
      socket.write('a', (error) => log.push(`first ${error ? 'failed' : 'done'}`));
      socket.write('b');
      socket.destroy();
      notes.push((await read(peer, 2)).toString());
      await Promise.all([closed, ended]);
      peer.end();
      await peerClosed;
    },
  },
  {
    name: 'destroy() a turn after a write: it arrives, and the peer sees an end',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      const ended = once(peer, 'end');
      socket.write('a', (error) => log.push(`write ${error ? 'failed' : 'done'}`));
      await turns(1);
      socket.destroy();
      notes.push((await read(peer, 1)).toString());
      await Promise.all([closed, ended]);
      peer.end();
      await peerClosed;
    },
  },
  {
    name: 'destroy() after a write, when another was written a turn before: both arrive, and the peer sees an end',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const ended = once(peer, 'end');
      socket.write('a');
      await turns(1);
      socket.write('b');
      socket.destroy();
      notes.push((await read(peer, 2)).toString());
      await Promise.all([closed, ended]);
      peer.end();
      await peerClosed;
    },
  },
  {
    name: 'destroy() while bytes wait',
    async run({ socket, peer, log, closed, peerClosed }) {
      socket.write(pattern(MUCH), (error) => log.push(`first ${error ? 'failed' : 'done'}`));
      socket.write('x', (error) => log.push(`second ${error && codeOf(error)}`));
      socket.destroy();
      await closed;
      peer.resume().end();
      await peerClosed;
    },
    differs: {
      because: `${REFUSES_TO_PRETEND}, and a write that was cut did not succeed`,
      log: ['first failed', 'second ECANCELED', 'close false'],
      peerLog: ['error ECONNRESET', 'close true'],
    },
  },
  {
    name: 'destroy() right after end(): no finish',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const ended = once(peer.resume(), 'end');
      socket.end();
      socket.destroy();
      notes.push(`writableEnded ${socket.writableEnded}`);
      await closed;
      notes.push(`writableFinished ${socket.writableFinished}`);
      await ended;
      peer.end();
      await peerClosed;
    },
  },
  {
    name: 'destroy() in the listener of end',
    async run({ socket, peer, closed, peerClosed }) {
      socket.on('end', () => socket.destroy()).resume();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'of several destroy() the first counts',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.destroy();
      socket.destroy(new Error('too late'));
      await closed;
      socket.destroy(new Error('much too late'));
      notes.push(`errored ${socket.errored}`);
      peer.resume().end();
      await peerClosed;
    },
  },
  {
    name: 'resetAndDestroy(): close without an error here, ECONNRESET there',
    async run({ socket, peer, closed, peerClosed }) {
      peer.resume();
      socket.resetAndDestroy();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'the peer resets while the socket reads: error, then close, and no end',
    async run({ socket, peer, closed, peerClosed }) {
      socket.resume();
      peer.write('x');
      await once(socket, 'data');
      peer.resetAndDestroy();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'the peer resets while bytes wait: the callbacks of all writes get an error, then error and close come',
    async run({ socket, peer, log, closed, peerClosed }) {
      socket.resume();
      socket.write(pattern(MUCH), (error) => log.push(`first ${error ? 'failed' : 'done'}`));
      socket.write('x', (error) => log.push(`second ${error ? 'failed' : 'done'}`));
      await once(peer, 'data');
      peer.resetAndDestroy();
      await Promise.all([closed, peerClosed]);
    },
    differs: {
      because: 'net.Socket says success for a write that was under way, and its error before',
      log: ['first failed', 'second failed', 'error ECONNRESET', 'close true'],
      peerLog: ['close false'],
    },
  },
  {
    name: 'write() after end(): ERR_STREAM_WRITE_AFTER_END for the callback and the stream',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      socket.end();
      notes.push(`${socket.write('x', (error) => log.push(`callback ${codeOf(error)}`))}`);
      await closed;
      peer.resume().end();
      await peerClosed.catch(() => {});
    },
    differs: {
      because: REFUSES_TO_PRETEND,
      log: ['callback ERR_STREAM_WRITE_AFTER_END', 'error ERR_STREAM_WRITE_AFTER_END', 'close true'],
      peerLog: ['error ECONNRESET', 'close true'],
    },
  },
  {
    name: 'write() after destroy(): ERR_STREAM_DESTROYED for the callback alone',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      socket.destroy();
      notes.push(`${socket.write('x', (error) => log.push(`callback ${codeOf(error)}`))}`);
      await closed;
      peer.resume().end();
      await peerClosed;
    },
  },
  {
    name: 'a listener of data that throws is an uncaught exception, and the socket goes on',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const listeners = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      try {
        const thrown = once(process, 'uncaughtException');
        socket.once('data', () => {
          throw new Error('a bug');
        });
        peer.write('x');
        notes.push(`thrown ${codeOf((await thrown)[0])}`);
      } finally {
        for (const listener of listeners) process.on('uncaughtException', listener);
      }
      socket.resume().end('still here');
      notes.push((await read(peer, 10)).toString());
      peer.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'an abort signal destroys with AbortError',
    async run({ socket, peer, closed, peerClosed }) {
      const abort = new AbortController();
      addAbortSignal(abort.signal, socket);
      peer.resume();
      abort.abort();
      await closed;
      peer.end();
      await peerClosed;
    },
    differs: {
      because: REFUSES_TO_PRETEND,
      log: ['error ABORT_ERR', 'close true'],
      peerLog: ['error ECONNRESET', 'close true'],
    },
  },
  {
    name: 'finished(): after end and finish, with no error',
    async run({ socket, peer, log, closed, peerClosed }) {
      finished(socket, (error) => log.push(`finished ${error}`));
      socket.resume().end();
      await once(socket, 'finish');
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'finished(): destroyed before its end',
    async run({ socket, peer, log, closed, peerClosed }) {
      finished(socket, (error) => log.push(`finished ${codeOf(error)}`));
      socket.destroy();
      await closed;
      peer.resume().end();
      await peerClosed;
    },
  },
  {
    name: 'the flags, from the beginning to the end',
    async run({ socket, peer, notes, closed, peerClosed }) {
      flags(socket, notes);
      socket.end();
      flags(socket, notes);
      await once(socket, 'finish');
      flags(socket, notes);
      peer.resume().end();
      await once(socket.resume(), 'end');
      flags(socket, notes);
      await Promise.all([closed, peerClosed]);
      flags(socket, notes);
    },
  },
  {
    name: 'the flags after an error',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.on('error', () => flags(socket, notes)).resume();
      peer.write('x');
      await once(socket, 'data');
      peer.resetAndDestroy();
      await Promise.all([closed, peerClosed]);
      flags(socket, notes);
    },
  },
];

function flags(socket: net.Socket, notes: string[]): void {
  const { destroyed, readable, readableEnded, writable, writableEnded, writableFinished, errored } = socket;
  const { pending, readyState, bufferSize } = socket;
  const all = { destroyed, pending, readable, readableEnded, writable, writableEnded, writableFinished };
  const set = Object.entries(all).flatMap(([name, on]) => (on ? name : []));
  notes.push(`${set.join(', ')}; ${readyState}; buffered ${bufferSize}; errored ${errored && codeOf(errored)}`);
}
