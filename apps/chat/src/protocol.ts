// What client and server say to each other: JSON in frames that begin with their length in 2 bytes.

import { encodeFrame, lengthPrefixed } from '@overlapped/session';

/** 2,000 characters that JSON escapes, with 6 bytes for each, and the rest fit. */
export const framer = lengthPrefixed({ size: 2, maxFrameLength: 16_384 });

/** What a client asks for. It is in one room at a time. */
export type Request =
  | { readonly type: 'join'; readonly room: string; readonly name: string }
  | { readonly type: 'say'; readonly text: string };

/** What the server answers, and what it tells the members of a room. */
export type Notice =
  | { readonly type: 'joined'; readonly room: string }
  | { readonly type: 'said'; readonly room: string; readonly name: string; readonly text: string }
  | { readonly type: 'refused'; readonly reason: string };

export type Said = Extract<Notice, { type: 'said' }>;

/** For a room, or a name. Some letters are not to be seen, as U+3164. */
const NAME = /^(?:(?!\p{Default_Ignorable_Code_Point})[\p{L}\p{N}_.-]){1,32}$/u;
/** What moves the cursor or begins a line. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}]/gu;
/** What has no look of its own, but may change the order or the look of what is around it. */
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;
const LONGEST_TEXT = 2000;

/** The bytes of a frame. */
export function encode(message: Request | Notice): Buffer {
  return encodeFrame(framer, JSON.stringify(message));
}

/** What a client asks for; or why it is refused, for the client to read. */
export function parseRequest(packet: Buffer): Request | string {
  const { type, room, name, text } = parse(packet.toString());
  if (type === 'join')
    return isName(room) && isName(name) ? { type, room, name } : 'rooms and names have 1 to 32 letters';
  if (type === 'say') return isText(text) ? { type, text } : `a text has 1 to ${LONGEST_TEXT} characters`;
  return 'a request is to join or to say';
}

/** What was said, in JSON from another server; undefined when it is something else. */
export function parseSaid(message: unknown): Said | undefined {
  const { type, room, name, text } = Object(message);
  if (type !== 'said' || !isName(room) || !isName(name) || !isText(text)) return undefined;
  return { type, room, name, text };
}

/** An object with what the JSON says; empty when it is none. */
export function parse(json: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(json));
  } catch {
    return {};
  }
}

/** What somebody said, as it may go to a terminal: it changes nothing there but its own place. Empty for what is no text. */
export function printable(text: unknown): string {
  return typeof text === 'string' ? text.replace(CONTROLS, ' ').replace(INVISIBLE, '') : '';
}

export function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME.test(value);
}

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= LONGEST_TEXT;
}
