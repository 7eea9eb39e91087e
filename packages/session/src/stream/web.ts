// A session's stream as a pair of web streams. Node's own Duplex.toWeb() cannot be used: in Node 20 neither side ends before both
// have ended, so a server could not read a request to its end and then answer it.

import { finished } from 'node:stream';
import type { QueuingStrategy, ReadableStream, WritableStream } from 'node:stream/web';
import { IocpError } from '@overlapped/iocp-native';
import { webStreams } from '../builtin.js';
import type { SessionDuplex } from './duplex.js';

/** A session as two web streams. Each ends by itself, as the directions of the connection do. */
export interface WebStreams {
  /** Received bytes, in chunks that are copies. It closes when the peer has ended. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to send. Closing it half-closes the connection. */
  readonly writable: WritableStream<Uint8Array>;
}

/** Limit of a chunk that is copied. */
const COPIED = 16_384;

const pairs = new WeakMap<SessionDuplex, WebStreams>();

/** The same pair each time: two readers of one stream would take each other's bytes. */
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
  const { ReadableStream } = webStreams();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stream.on('data', (chunk: Buffer) => {
          // A copy: the reader may transfer its memory, and the chunk may share an ArrayBuffer with others.
          controller.enqueue(new Uint8Array(chunk));
          if (controller.desiredSize! <= 0) stream.pause();
        });
        finished(stream, { writable: false }, (error) => {
          // A canceled stream is closed already: close() would throw.
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
  const { WritableStream } = webStreams();
  return new WritableStream<Uint8Array>(
    {
      start(controller) {
        sent.catch((error: unknown) => controller.error(error));
      },
      // The caller may reuse the chunk when the promise settles. A small chunk is copied, and the promise resolves at once, so that
      // many chunks go in one send. For a larger one the promise resolves when the kernel has taken it.
      write(chunk) {
        return new Promise((resolve, reject) => {
          const small = chunk.byteLength <= COPIED;
          const belowHighWatermark = stream.write(small ? Buffer.copyBytesFrom(chunk) : chunk, (error) => {
            if (error) reject(error);
            else resolve();
          });
          if (small && belowHighWatermark) resolve();
        });
      },
      close() {
        // finished() would report success for a stream that is ended after it was destroyed.
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
