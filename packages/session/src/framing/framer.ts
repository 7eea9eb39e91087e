// Framer: the rule by which a stream is cut into frames, and by which frames are written. It has no state of a stream.

import { constants } from 'node:buffer';
import { IocpError } from '@overlapped/iocp-native';
import { type Checks, whole, wrongType } from '@overlapped/iocp-native/internal';
import { plainBytesOf } from '../bytes.js';

/**
 * A rule that cuts a stream into frames. It has no state of a stream, so all sessions may share one. Its methods throw an IocpError
 * (EPROTO) for a bad frame of the peer, which ends the session, and a RangeError for a packet that cannot be sent.
 */
export interface Framer {
  /** Limit of a frame's bytes on the wire, header and delimiter included. */
  readonly maxFrameLength: number;
  /**
   * The length on the wire of the frame that begins at `bytes[start]`; not all of it need have arrived. Returns 0 if more bytes
   * are needed. `searched`: how many bytes the previous call already examined (a hint, to avoid scanning twice).
   */
  measure(bytes: Buffer, start: number, searched: number): number;
  /** The part of a frame that onPacket gets, as a view. The frame is `bytes[start]` to `bytes[end - 1]`. */
  body(bytes: Buffer, start: number, end: number): Buffer;
  /** The bytes in front of a body on the wire, valid until the next call. Throws a RangeError for a body that cannot be sent. */
  header(body: Uint8Array): Uint8Array;
  /** The bytes behind a body on the wire. */
  trailer(body: Uint8Array): Uint8Array;
}

/** The limit of a frame's length. */
export interface FrameLimit {
  /**
   * Limit of a frame's bytes on the wire, header and delimiter included. Default 1,048,576. A longer frame ends its session with
   * EMSGSIZE.
   */
  readonly maxFrameLength?: number;
}

export const NOTHING = Buffer.alloc(0);
const DEFAULT_LIMIT = 1 << 20;

/** The given or default limit. Throws a RangeError if it is below `least`, the length of the shortest frame. */
export function limitOf({ maxFrameLength = DEFAULT_LIMIT }: FrameLimit, least: number): number {
  return wholeNumber('maxFrameLength', maxFrameLength, least, constants.MAX_LENGTH);
}

export function wholeNumber(name: string, value: number, least: number, most: number): number {
  whole(least, most)(value, name);
  return value;
}

/** The check of a FrameLimit's names. limitOf() checks its range, which depends on the framer. */
export const FRAME_LIMIT: Checks<FrameLimit> = { maxFrameLength: () => {} };

/** Throws a TypeError for a value that is not a framer. */
export function checkFramer(framer: Framer): void {
  if (typeof framer?.measure !== 'function' || typeof framer.header !== 'function')
    throw wrongType('framer', 'a Framer, as lengthPrefixed() makes one', framer);
}

/** The received bytes are not a frame. */
export function badFrame(reason: string): IocpError {
  return new IocpError('read a frame', reason, 'EPROTO', 'receive');
}

/** The peer has ended in the middle of a frame. */
export function truncatedFrame(): IocpError {
  return badFrame('the peer ended in the middle of it');
}

/** The received frame is longer than the limit. */
export function frameTooLong(limit: number): IocpError {
  return new IocpError('read a frame', `it has more than ${limit} bytes`, 'EMSGSIZE', 'receive');
}

/** The bytes of a frame, for broadcast(). Throws a RangeError if the framer cannot make a frame of the body. */
export function encodeFrame(framer: Framer, data: Uint8Array | string): Buffer {
  const body = plainBytesOf(data);
  return Buffer.concat([framer.header(body), body, framer.trailer(body)]);
}
