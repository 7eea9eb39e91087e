// SharedPacketSession: a shared session that gets whole frames instead of bytes. Users subclass it, in a module of its own.

import type { Framer } from '../framing/framer.js';
import { kFramer, kSendFrame, SharedSession } from './shared-session.js';
import type { StateSchema } from './state/layout.js';

/**
 * A shared session whose bytes a framer cuts into frames. Which thread takes a part of a frame does not matter. A bad frame closes
 * the session with an IocpError: EMSGSIZE if it is longer than the framer's maxFrameLength; EPROTO if its bytes are not a frame, or
 * if the peer ends in the middle of one; ENOBUFS if the memory of all queues has no room for a half frame. In the case of the
 * peer's end the queue is sent first.
 */
export class SharedPacketSession<Schema extends StateSchema = StateSchema> extends SharedSession<Schema> {
  /** Cuts the bytes of all sessions of the class into frames: `lengthPrefixed()`. It has no state of a stream. */
  static framer: Framer;

  constructor() {
    super();
    this[kFramer] = (this.constructor as typeof SharedPacketSession).framer;
  }

  /**
   * A frame has arrived, without the bytes that its framer strips. It is borrowed: valid until this returns, or, in an async
   * handler, until its first await. The next frame comes when this has returned, and its promise has settled.
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
    return this[kSendFrame](data);
  }
}
