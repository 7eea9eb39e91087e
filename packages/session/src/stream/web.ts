// A session's stream as a pair of web streams. Node's own Duplex.toWeb() would do, but in Node 20 neither side of it ends
// before both have, so that nobody can wait for the end of a request and then answer it.

import { finished } from 'node:stream';
import { type QueuingStrategy, ReadableStream, WritableStream } from 'node:stream/web';
import { IocpError } from '@overlapped/iocp-native';
import type { SessionDuplex } from './duplex.js';

/** A session as two web streams, which end one by one, as the directions of its connection do. */
export interface WebStreams {
  /** What the peer sends, in copies; closes when the peer has ended. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What is sent; closing it half-closes the connection. */
  readonly writable: WritableStream<Uint8Array>;
}

/** Bytes of a chunk that is copied. */
const COPIED = 16_384;

const pairs = new WeakMap<SessionDuplex, WebStreams>();

/** The same pair each time: two readers of one stream would each take from the other. */
export function webStreamsOf(stream: SessionDuplex): WebStreams {
  let pair = pairs.get(stream);
  if (pair === undefined) {
    pair = { readable: readableOf(stream), writable: writableOf(stream) };
    pairs.set(stream, pair);
  }
  return pair;
}

function readableOf(stream: SessionDuplex): ReadableStream<Uint8Array> {
  let canceled = false;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stream.on('data', (chunk: Buffer) => {
          // Who reads may take the memory away, which others have a part of.
          controller.enqueue(new Uint8Array(chunk));
          if (controller.desiredSize! <= 0) stream.pause();
        });
        finished(stream, { writable: false }, (error) => {
          // A stream that was canceled is closed already, and close() would throw.
          if (canceled) return;
          if (error) controller.error(error);
          else controller.close();
        });
        stream.pause();
      },
      pull() {
        stream.resume();
      },
      cancel(reason) {
        canceled = true;
        stream.destroy(reason);
      },
    },
    byteLength(stream.readableHighWaterMark),
  );
}

function writableOf(stream: SessionDuplex): WritableStream<Uint8Array> {
  const sent = new Promise<void>((resolve, reject) => {
    finished(stream, { readable: false }, (error) => (error ? reject(error) : resolve()));
  });
  return new WritableStream<Uint8Array>(
    {
      start(controller) {
        sent.catch((error: unknown) => controller.error(error));
      },
      // The chunk is the caller's again when the promise is settled. A small one is copied, so that many go in one send; a
      // larger one must be with the kernel by then.
      write(chunk) {
        return new Promise((resolve, reject) => {
          const small = chunk.byteLength <= COPIED;
          const room = stream.write(small ? Buffer.copyBytesFrom(chunk) : chunk, (error) => {
            if (error) reject(error);
            else resolve();
          });
          if (small && room) resolve();
        });
      },
      close() {
        // finished() takes a stream that is ended after it was destroyed for one that has sent everything.
        if (stream.destroyed && !stream.writableFinished) {
          throw stream.errored ?? new IocpError('close the stream', 'it was destroyed', 'ECANCELED', 'write');
        }
        stream.end();
        return sent;
      },
      abort(reason) {
        stream.destroy(reason);
      },
    },
    byteLength(stream.writableHighWaterMark),
  );
}

function byteLength(highWaterMark: number): QueuingStrategy<Uint8Array> {
  return { highWaterMark, size: (chunk) => chunk!.byteLength };
}
