// PacketSession: a session that gets whole frames instead of bytes. Users subclass it, or give an object of handlers to framed().

import { isIocpError } from '@overlapped/iocp-native';
import { checkHandlers, object } from '@overlapped/iocp-native/internal';
import { bytesOf } from '../bytes.js';
import { type CommonHandlers, withHandlers } from '../session/handlers.js';
import { Session } from '../session/session.js';
import { kDelivers, kFollow, kPartialFrame, kUnread } from '../session/symbols.js';
import { FrameReader } from './frame-reader.js';
import { checkFramer, type Framer } from './framer.js';

/** The names of PacketHandlers. */
const HANDLERS = ['onConnected', 'onPacket', 'onEnd', 'onSend', 'onDrain', 'onDisconnected'];

/**
 * A connection whose bytes a framer cuts into frames. A bad frame closes the session with an IocpError: EMSGSIZE if it is
 * longer than the framer's maxFrameLength; EPROTO if its bytes are not a frame, or if the peer ends in the middle of one. In the
 * last case the queue is sent first.
 */
export class PacketSession extends Session {
  readonly #framer: Framer;
  readonly #reader: FrameReader;

  /** The framer may be shared with other sessions. */
  constructor(framer: Framer) {
    checkFramer(framer);
    super();
    this.#framer = framer;
    this.#reader = new FrameReader(framer);
  }

  /**
   * A frame has arrived, without the bytes that its framer strips. It is borrowed: valid until this returns, or, in an async
   * handler, until its first await. send() and sendPacket() keep it. Copy it for any other later use. After pause() no frame is
   * delivered until resume(), including those that have arrived already.
   */
  onPacket(frame: Buffer): unknown;
  onPacket(): unknown {
    return undefined;
  }

  /**
   * Sends a frame whose body is `data`, with the results of send(). The peer's onPacket gets the same bytes. Throws a
   * RangeError if the framer cannot make a frame of them.
   */
  sendPacket(data: Uint8Array | string): boolean {
    const body = bytesOf(data);
    const header = this.#framer.header(body);
    const trailer = this.#framer.trailer(body);
    if (header.length > 0) this.send(header);
    const sent = this.send(body);
    return trailer.length > 0 ? this.send(trailer) : sent;
  }

  /** Cuts received bytes into frames. Do not override it. */
  override onReceive(data: Buffer): void {
    const reader = this.#reader;
    reader.add(data);
    while (this[kDelivers]) {
      const frame = this.#next();
      if (frame === null) return;
      const result = this.onPacket(frame);
      if (result !== undefined) this[kFollow](result);
    }
    this[kUnread](reader.rest());
  }

  /** A bad frame is an error of the peer, so it is not counted as a failure of a handler. */
  #next(): Buffer | null {
    try {
      return this.#reader.next();
    } catch (error) {
      if (!isIocpError(error)) throw error;
      this.destroy(error);
      return null;
    }
  }

  /** @internal */
  override get [kPartialFrame](): number {
    return this.#reader.partialFrame;
  }
}

/** Handlers of a session of frames; see PacketSession for each. `session` is the session that calls. */
export interface PacketHandlers extends CommonHandlers<PacketSession> {
  /** See {@link PacketSession.onPacket}: `frame` is borrowed. */
  onPacket?(session: PacketSession, frame: Buffer): unknown;
}

/** A class of sessions of frames that call one object of handlers. For the `session` option. */
export function framed(framer: Framer, handlers: PacketHandlers): new () => PacketSession {
  checkFramer(framer);
  object(handlers, 'handlers');
  checkHandlers(handlers, HANDLERS, '');
  class Framed extends PacketSession {
    constructor() {
      super(framer);
    }

    override onPacket(frame: Buffer): unknown {
      return handlers.onPacket?.(this, frame);
    }
  }
  return withHandlers(Framed, handlers);
}
