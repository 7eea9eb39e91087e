// What a framer is: how the stream of a connection is cut into frames, and how a frame is written to it.

import { constants } from 'node:buffer';
import { IocpError } from '@overlapped/iocp-native';
import { type Checks, whole, wrongType } from '@overlapped/iocp-native/internal';
import { plainBytesOf } from '../bytes.js';

/**
 * A rule that cuts a stream into frames. It keeps nothing of any stream, so one serves all sessions. What it throws ends the
 * session: an IocpError for what the peer did (EPROTO), a RangeError for a packet that cannot be sent.
 */
export interface Framer {
  /** The most bytes of a frame as it is on the wire, with header and delimiter. */
  readonly maxFrameLength: number;
  /**
   * The bytes, on the wire, of the frame that begins at `bytes[start]`; they need not all be there. 0 when what is there, up
   * to the end of `bytes`, does not tell. The first `searched` of them did not when this was last asked.
   */
  measure(bytes: Buffer, start: number, searched: number): number;
  /** What onPacket gets of the frame that is `bytes[start]` to `bytes[end - 1]`: a view. */
  body(bytes: Buffer, start: number, end: number): Buffer;
  /** What goes in front of a body on the wire. It is good until the next call. Throws a RangeError for a bad body. */
  header(body: Uint8Array): Uint8Array;
  /** What goes behind it. */
  trailer(body: Uint8Array): Uint8Array;
}

/** How long a frame may be. */
export interface FrameLimit {
  /**
   * The most bytes of a frame as it is on the wire, with header and delimiter. Default 1,048,576. A longer one ends its
   * session with EMSGSIZE.
   */
  readonly maxFrameLength?: number;
}

export const NOTHING = Buffer.alloc(0);
const DEFAULT_LIMIT = 1 << 20;

/** The limit that was asked for. Throws a RangeError when it is below `least`, the shortest frame. */
export function limitOf({ maxFrameLength = DEFAULT_LIMIT }: FrameLimit, least: number): number {
  return wholeNumber('maxFrameLength', maxFrameLength, least, constants.MAX_LENGTH);
}

export function wholeNumber(name: string, value: number, least: number, most: number): number {
  whole(least, most)(value, name);
  return value;
}

/** The check of a FrameLimit. What is too low for its framer, limitOf() tells. */
export const FRAME_LIMIT: Checks<FrameLimit> = { maxFrameLength: () => {} };

/** Throws a TypeError for what is no framer. */
export function checkFramer(framer: Framer): void {
  if (typeof framer?.measure !== 'function' || typeof framer.header !== 'function')
    throw wrongType('framer', 'a Framer, as lengthPrefixed() makes one', framer);
}

/** What came is no frame, whatever the limit. */
export function badFrame(reason: string): IocpError {
  return new IocpError('read a frame', reason, 'EPROTO', 'receive');
}

/** The peer has ended in the middle of a frame. */
export function truncatedFrame(): IocpError {
  return badFrame('the peer ended in the middle of it');
}

/** What came may be a frame, but not one that we take. */
export function frameTooLong(limit: number): IocpError {
  return new IocpError('read a frame', `it has more than ${limit} bytes`, 'EMSGSIZE', 'receive');
}

/** A frame in one piece, for broadcast(). Throws a RangeError for a body that the framer has no frame for. */
export function encodeFrame(framer: Framer, data: Uint8Array | string): Buffer {
  const body = plainBytesOf(data);
  return Buffer.concat([framer.header(body), body, framer.trailer(body)]);
}
