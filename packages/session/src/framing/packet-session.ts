// PacketSession: a session that gets whole frames instead of bytes. By subclassing, or through an object of handlers.

import { type IocpError, isIocpError } from '@overlapped/iocp-native';
import { checkHandlers, object } from '@overlapped/iocp-native/internal';
import { bytesOf } from '../bytes.js';
import { type CommonHandlers, withHandlers } from '../session/handlers.js';
import { follow, isDelivering, Session, unread } from '../session/session.js';
import { cutShort, unfinished } from '../session/session-base.js';
import { FrameReader } from './frame-reader.js';
import { badFrame, checkFramer, type Framer } from './framer.js';

/** What an object of handlers may have. */
const HANDLERS = ['onConnected', 'onPacket', 'onEnd', 'onSend', 'onDrain', 'onDisconnected'];

/**
 * A connection whose bytes a framer cuts into frames. A frame that is too long, or is none, closes the session with an
 * IocpError: EMSGSIZE when it is past the framer's maxFrameLength, for which another limit would do; EPROTO when its bytes
 * make no frame at all, or when the peer ends in the middle of one. In the last case what is queued is flushed first.
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
   * A frame has come, without what its framer strips. It is borrowed: good until this returns, or, in an async handler,
   * until its first await. send() and sendPacket() keep it; anything else that needs it later must copy it. After pause()
   * the frames that are here already wait for resume().
   */
  onPacket(frame: Buffer): unknown;
  onPacket(): unknown {
    return undefined;
  }

  /**
   * Sends a frame of these bytes, under the rules of send(): what onPacket would get of it. Throws a RangeError for what
   * the framer has no frame for.
   */
  sendPacket(data: Uint8Array | string): boolean {
    const body = bytesOf(data);
    const header = this.#framer.header(body);
    const trailer = this.#framer.trailer(body);
    if (header.length > 0) this.send(header);
    const sent = this.send(body);
    return trailer.length > 0 ? this.send(trailer) : sent;
  }

  /** Cuts what has come; not for overriding. */
  override onReceive(data: Buffer): void {
    const reader = this.#reader;
    reader.add(data);
    while (isDelivering(this)) {
      const frame = this.#next();
      if (frame === null) return;
      const result = this.onPacket(frame);
      if (result !== undefined) follow(this, result);
    }
    unread(this, reader.rest());
  }

  /** What is no frame is the peer's fault, and no failure of the handler's. */
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
  override [cutShort](): IocpError | undefined {
    return this.#reader.unfinished > 0 ? badFrame('the peer ended in the middle of it') : undefined;
  }

  /** @internal */
  override [unfinished](): number {
    return this.#reader.unfinished;
  }
}

/** What a session of frames calls; see PacketSession for each. `session` is the one that calls. */
export interface PacketHandlers extends CommonHandlers<PacketSession> {
  /** See {@link PacketSession.onPacket}: `frame` is borrowed. */
  onPacket?(session: PacketSession, frame: Buffer): unknown;
}

/** Sessions of frames through one object of handlers for a whole listener, in the place of a class. */
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
