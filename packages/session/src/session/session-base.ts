// What of a session needs none of its state: its counts, the handlers, for subclasses to override, and the forms of its
// stream.

import { chunksOf, type SessionDuplex, type SessionSocket } from '../stream/duplex.js';
import { type WebStreams, webStreamsOf } from '../stream/web.js';
import { Member } from './member.js';

// Symbols: a user's method of the same name replaces neither.
export const cutShort: unique symbol = Symbol('overlapped.cutShort');
export const unfinished: unique symbol = Symbol('overlapped.unfinished');

export abstract class SessionBase extends Member {
  /** Bytes that onReceive has been given. */
  bytesReceived = 0;
  /** Bytes that the kernel has taken to send. */
  bytesSent = 0;

  /** The connection is there. Nothing has been received yet. */
  onConnected(): unknown {
    return undefined;
  }

  /**
   * Bytes have come. `data` is borrowed: it is good until this returns, or, in an async handler, until its first await.
   * send(data) keeps it; anything else that needs it later must copy it.
   */
  onReceive(data: Buffer): unknown;
  onReceive(): unknown {
    return undefined;
  }

  /**
   * The peer has ended, and onReceive has been given all that it sent. With `allowHalfOpen` the session stays open for
   * sending until end(). Otherwise it closes when what is queued has gone out and no async handler of it runs any more (this
   * one included), but 10 seconds after the peer's end at the latest, then with an IocpError (ETIMEDOUT):
   * a handler that waits for onDisconnected makes it wait.
   */
  onEnd(): unknown {
    return undefined;
  }

  /** A send has completed: the kernel has taken `bytes` more. */
  onSend(bytes: number): unknown;
  onSend(): unknown {
    return undefined;
  }

  /** After a send() that said false: what waits has fallen to the low watermark. */
  onDrain(): unknown {
    return undefined;
  }

  /**
   * The session is over; no other handler runs after this one. `error` is why, unless it ended in order: an IocpError,
   * what a handler threw, or what destroy() was given.
   */
  onDisconnected(error?: Error): unknown;
  onDisconnected(): unknown {
    return undefined;
  }

  /** For PacketSession: what is missing, now that the peer has ended. @internal */
  [cutShort](): Error | undefined {
    return undefined;
  }

  /** For PacketSession: which of its frames has come in part, counted from 1; 0 for none. @internal */
  [unfinished](): number {
    return 0;
  }

  abstract toDuplex(): SessionDuplex;

  /** toDuplex() as web streams, the same pair each time. Cancelling the readable, or aborting the writable, destroys both. */
  toWeb(): WebStreams {
    return webStreamsOf(this.toDuplex());
  }

  /**
   * What is received, in chunks that are copies, as fast as the loop takes them. When the loop is left, in whatever way,
   * the session ends as with end(), and what still comes is dropped.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    return chunksOf(this.toDuplex() as SessionSocket);
  }
}
