// A session's stream as a pair of web streams. Node's own Duplex.toWeb() would do, but in Node 20 neither side of it ends
// before both have, so that nobody can wait for the end of a request and then answer it.

import { finished } from 'node:stream';
import { type QueuingStrategy, ReadableStream, WritableStream } from 'node:stream/web';
import type { SessionDuplex } from './duplex.js';

/** A session as two web streams, which end one by one, as the directions of its connection do. */
export interface WebStreams {
  /** What the peer sends, in copies; closes when the peer has ended. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What is sent; closing it half-closes the connection. */
  readonly writable: WritableStream<Uint8Array>;
}

export function webStreamsOf(stream: SessionDuplex): WebStreams {
  return { readable: readableOf(stream), writable: writableOf(stream) };
}

function readableOf(stream: SessionDuplex): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stream.on('data', (chunk: Buffer) => {
          // Who reads may take the memory away, which others have a part of.
          controller.enqueue(new Uint8Array(chunk));
          if (controller.desiredSize! <= 0) stream.pause();
        });
        finished(stream, { writable: false }, (error) => {
          if (error) controller.error(error);
          else controller.close();
        });
        stream.pause();
      },
      pull() {
        stream.resume();
      },
      cancel(reason) {
        stream.destroy(reason);
      },
    },
    byteLength(stream.readableHighWaterMark),
  );
}

function writableOf(stream: SessionDuplex): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>(
    {
      start(controller) {
        finished(stream, { readable: false }, (error) => {
          if (error) controller.error(error);
        });
      },
      write(chunk) {
        return new Promise((resolve, reject) => {
          if (stream.write(chunk, (error) => (error ? reject(error) : resolve()))) resolve();
        });
      },
      close() {
        return new Promise((resolve) => stream.end(resolve));
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
