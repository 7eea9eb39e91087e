// The protocol of client and server: JSON in frames that begin with their length in 2 bytes.

import { encodeFrame, lengthPrefixed } from '@overlapped/session';

/** 2,000 characters that JSON escapes, with 6 bytes for each, and the rest fit. */
export const framer = lengthPrefixed({ size: 2, maxFrameLength: 16_384 });

/** A request of a client. It is in one room at a time. */
export type Request =
  | { readonly type: 'join'; readonly room: string; readonly name: string }
  | { readonly type: 'say'; readonly text: string };

/** An answer of the server, or a message to the members of a room. */
export type Notice =
  | { readonly type: 'joined'; readonly room: string }
  | { readonly type: 'said'; readonly room: string; readonly name: string; readonly text: string }
  | { readonly type: 'entered' | 'left'; readonly room: string; readonly name: string }
  | { readonly type: 'refused'; readonly reason: string };

/** A message to the members of a room, on all servers. */
export type RoomNotice = Extract<Notice, { name: string }>;

/** For a room, or a name. Some letters are invisible, as U+3164. */
const NAME = /^(?:(?!\p{Default_Ignorable_Code_Point})[\p{L}\p{N}_.-]){1,32}$/u;
/** Characters that move the cursor or begin a line. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}]/gu;
/** Characters that are invisible, but may change the order or the look of those beside them. */
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;
export const LONGEST_TEXT = 2000;

/** The bytes of a frame. */
export function encode(message: Request | Notice): Buffer {
  return encodeFrame(framer, JSON.stringify(message));
}

/** The request of a client; or the reason why it is refused, for the client to read. */
export function parseRequest(packet: Buffer): Request | string {
  const { type, room, name, text } = parse(packet.toString());
  if (type === 'join')
    return isName(room) && isName(name) ? { type, room, name } : 'rooms and names have 1 to 32 letters';
  if (type === 'say') return isText(text) ? { type, text } : `a text has 1 to ${LONGEST_TEXT} characters`;
  return 'a request is to join or to say';
}

/** A notice for a room, in JSON from another server; undefined when it is something else. */
export function parseRoomNotice(message: unknown): RoomNotice | undefined {
  const { type, room, name, text } = Object(message);
  if (!isName(room) || !isName(name)) return undefined;
  if (type === 'entered' || type === 'left') return { type, room, name };
  return type === 'said' && isText(text) ? { type, room, name, text } : undefined;
}

/** The object that the JSON describes; empty when it describes none. */
export function parse(json: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(json));
  } catch {
    return {};
  }
}

/** A text of another client, safe for a terminal: it changes nothing there but its own place. Empty if it is no text. */
export function printable(text: unknown): string {
  return typeof text === 'string' ? text.replace(CONTROLS, ' ').replace(INVISIBLE, '') : '';
}

export function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME.test(value);
}

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= LONGEST_TEXT;
}
