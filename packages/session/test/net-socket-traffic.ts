// More rows of net-socket-rows.ts: reading, writing, and what a socket says of itself.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MUCH, REFUSES_TO_PRETEND, type Row } from './net-socket-rows.js';
import { codeOf, standStill, turns } from './streams.js';
import { pattern, read } from './support.js';

export const reading: Row[] = [
  {
    name: 'pause() and resume() lose no byte',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => {
        chunks.push(chunk);
        socket.pause();
        setImmediate(() => socket.resume());
      });
      peer.end(pattern(2_000_000));
      await once(socket, 'end');
      notes.push(`${Buffer.concat(chunks).equals(pattern(2_000_000))}`);
      socket.end();
      peer.resume();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'a paused socket holds the peer back',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.pause();
      const written = new Promise<void>((resolve) => peer.write(pattern(MUCH), () => resolve()));
      await standStill(() => socket.bytesRead);
      notes.push(`the peer waits: ${peer.writableLength > 0}`, `read ahead: ${socket.bytesRead < MUCH}`);
      const got = read(socket, MUCH);
      socket.resume();
      notes.push(`${(await got).equals(pattern(MUCH))}`);
      await written;
      peer.resume().end();
      socket.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'end comes after the last byte was read, not before',
    async run({ socket, peer, notes, closed, peerClosed }) {
      peer.end('unread');
      await once(socket, 'readable');
      await turns();
      notes.push(`readableEnded ${socket.readableEnded}`);
      notes.push(String(socket.read(3)), String(socket.read()), String(socket.read()));
      await once(socket, 'end');
      socket.end();
      peer.resume();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'a socket that both have ended does not close while bytes are unread',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.pause();
      peer.resume().end('unread');
      socket.end();
      await once(peer, 'end');
      while (socket.readableLength < 6) await turns(1);
      await turns();
      notes.push(`closed ${socket.closed}`, `length ${socket.readableLength}`);
      const unread = read(socket, 6);
      socket.resume();
      notes.push((await unread).toString());
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'setEncoding() joins what a packet has split',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.setEncoding('utf8');
      let text = '';
      socket.on('data', (part) => {
        text += part;
      });
      const euro = Buffer.from('100 €');
      peer.write(euro.subarray(0, 5));
      await once(socket, 'data');
      peer.end(euro.subarray(5));
      await once(socket, 'end');
      notes.push(text);
      socket.end();
      peer.resume();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'unshift() gives bytes back',
    async run({ socket, peer, notes, closed, peerClosed }) {
      peer.write('head');
      const [head] = await once(socket, 'data');
      socket.pause();
      socket.unshift(head);
      peer.end(' body');
      const ended = once(socket, 'end');
      const both = read(socket, 9);
      socket.resume();
      notes.push((await both).toString());
      await ended;
      socket.end();
      peer.resume();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'for await reads to the end, and leaving the loop destroys',
    async run({ socket, peer, notes, closed, peerClosed }) {
      peer.write('x');
      for await (const chunk of socket) {
        notes.push(String(chunk));
        break;
      }
      notes.push(`destroyed ${socket.destroyed}`);
      await closed;
      peer.resume().end();
      await peerClosed;
    },
    differs: {
      because: REFUSES_TO_PRETEND,
      log: ['error ABORT_ERR', 'close true'],
      peerLog: ['error ECONNRESET', 'close true'],
    },
  },
];

export const writing: Row[] = [
  {
    name: 'bufferSize is what has not been sent',
    async run({ socket, peer, notes, closed, peerClosed }) {
      notes.push(`${socket.bufferSize}`);
      socket.write(pattern(MUCH));
      socket.write('x');
      notes.push(`${socket.bufferSize === socket.writableLength && socket.writableLength > 0}`);
      await read(peer, MUCH + 1);
      socket.resume().end();
      peer.end();
      await Promise.all([closed, peerClosed]);
      notes.push(`${socket.bufferSize}`);
    },
  },
  {
    name: 'write() says false, and drain comes when the peer has read',
    async run({ socket, peer, notes, closed, peerClosed }) {
      let sent = 0;
      do sent += 100_000;
      while (socket.write(pattern(100_000)));
      notes.push(`needs drain ${socket.writableNeedDrain}`);
      const drained = once(socket, 'drain');
      const got = read(peer, sent);
      await drained;
      notes.push(`needs drain ${socket.writableNeedDrain}`, `length ${socket.writableLength}`);
      notes.push(`all ${(await got).length === sent}`);
      socket.resume().end();
      peer.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'the callbacks of writes come in order',
    async run({ socket, peer, log, closed, peerClosed }) {
      socket.write('a', () => log.push('a'));
      socket.write(pattern(MUCH), () => log.push('much'));
      await new Promise<void>((resolve) => {
        socket.write('c', () => resolve(void log.push('c')));
        peer.resume();
      });
      socket.resume().end();
      peer.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'a chunk may be used again in the callback of its write',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const chunk = Buffer.alloc(300_000, 'a');
      socket.write(chunk, () => socket.resume().end(chunk.fill('b')));
      const all = String(await read(peer, 600_000));
      notes.push(`${all === 'a'.repeat(300_000) + 'b'.repeat(300_000)}`);
      peer.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'cork() and uncork() keep the order',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.cork();
      socket.write('one ');
      socket.write(Buffer.from('two '));
      socket.write('three ');
      notes.push(`corked ${socket.writableCorked}`, `length ${socket.writableLength}`);
      socket.uncork();
      socket.resume().end('four');
      notes.push((await read(peer, 18)).toString());
      peer.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'strings have encodings, and typed arrays are taken',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.write('c3a9', 'hex');
      socket.write('é', 'latin1');
      socket.write('w6k=', 'base64');
      socket.write(new Uint8Array([0x42, 0x41]));
      socket.setDefaultEncoding('latin1');
      socket.write('é');
      socket.resume().end();
      notes.push((await read(peer, 8)).toString('hex'));
      peer.end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'write() of nothing calls back; of what is no bytes it throws',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      await new Promise<void>((resolve) => socket.write('', () => resolve(void log.push('nothing'))));
      for (const chunk of [null, undefined, 7, {}]) {
        try {
          socket.write(chunk as never);
        } catch (error) {
          notes.push(codeOf(error));
        }
      }
      socket.resume().end();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
];

export const stats: Row[] = [
  {
    name: 'bytesRead and bytesWritten, which counts what waits',
    async run({ socket, peer, notes, closed, peerClosed }) {
      peer.write('hello');
      await read(socket, 5);
      socket.write('abc');
      notes.push(`read ${socket.bytesRead}`, `written ${socket.bytesWritten}`);
      socket.write(pattern(MUCH));
      socket.cork();
      socket.write('€');
      notes.push(`written ${socket.bytesWritten}`);
      socket.uncork();
      const finished = once(socket, 'finish');
      socket.end();
      await Promise.all([finished, read(peer, MUCH + 6)]);
      peer.end();
      await Promise.all([closed, peerClosed]);
      notes.push(`read ${socket.bytesRead}`, `written ${socket.bytesWritten}`);
    },
  },
  {
    name: 'addresses',
    async run({ socket, peer, notes, closed, peerClosed }) {
      notes.push(`${socket.remoteAddress} ${socket.remoteFamily} ${socket.remotePort === peer.localPort}`);
      notes.push(`${socket.localAddress} ${socket.localFamily} ${socket.localPort === peer.remotePort}`);
      const { port, ...rest } = socket.address() as { port: number };
      notes.push(JSON.stringify(rest), `${port === socket.localPort}`);
      socket.resume().end();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
      notes.push(`${socket.remoteAddress} ${socket.remotePort === peer.localPort}`);
    },
  },
  {
    name: 'addresses that nobody asked for in time',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.resume().end();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
      notes.push(`${socket.remoteAddress} ${socket.localPort} ${JSON.stringify(socket.address())}`);
    },
  },
  {
    name: 'options are set, and chained',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const set = socket.setNoDelay().setNoDelay(false).setKeepAlive(true, 5000).setKeepAlive(true).setKeepAlive();
      notes.push(`${set.ref().unref().ref().setTimeout(0) === socket}`, `connecting ${socket.connecting}`);
      socket.resume().end();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
      notes.push(`${socket.setNoDelay(true).setKeepAlive(true, 1000) === socket}`);
    },
  },
  {
    name: 'setTimeout(): timeout comes once, and the socket stays open',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      let times = 0;
      socket.on('timeout', () => times++);
      socket.setTimeout(5, () => log.push('callback'));
      await once(socket, 'timeout');
      notes.push(`timeout ${socket.timeout}`, `destroyed ${socket.destroyed}`);
      await sleep(20);
      notes.push(`${times}`);
      socket.resume().end();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'setTimeout(): a byte starts it anew; 0 ends it, and takes the listener away',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      const never = () => log.push('never');
      socket.setTimeout(5, never);
      socket.setTimeout(0, never);
      await sleep(20);
      notes.push(`listeners ${socket.listenerCount('timeout', never)}`);
      socket.setTimeout(5);
      await once(socket, 'timeout');
      const again = once(socket, 'timeout');
      peer.write('x');
      await read(socket, 1);
      await again;
      socket.setTimeout(0);
      socket.resume().end();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'setTimeout() refuses what is no time and what is no function, and takes one that is too long',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const bad = [Number.NaN, -1, Number.POSITIVE_INFINITY, '5', undefined, null] as number[];
      const attempts = bad.map((delay) => () => socket.setTimeout(delay));
      const noFunctions = [null, 5, {}] as unknown as (() => void)[];
      for (const callback of noFunctions) {
        attempts.push(
          () => socket.setTimeout(1000, callback),
          () => socket.setTimeout(0, callback),
        );
      }
      for (const attempt of attempts) {
        try {
          notes.push(String(attempt()));
        } catch (error) {
          notes.push(`${(error as Error).name} ${codeOf(error)}`);
        }
      }
      socket.setTimeout(2 ** 31);
      notes.push(`timeout ${socket.timeout}`);
      await sleep(20);
      socket.resume().end();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'setTimeout() does not outlive the socket',
    async run({ socket, peer, closed, peerClosed }) {
      socket.setTimeout(1);
      socket.destroy();
      peer.resume().end();
      await Promise.all([closed, peerClosed]);
      socket.setTimeout(1);
      await sleep(20);
    },
  },
];
