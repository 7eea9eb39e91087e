// Every kind of framer, with a second, simple account of what its frames look like on the wire.

import { IocpError } from '@overlapped/iocp-native';
import { delimited, type Framer, fixedLength, lengthPrefixed, lines } from '../../src/index.js';

export interface Kind {
  readonly name: string;
  readonly framer: Framer;
  /** The frame of a body, as the wire has it. */
  readonly frame: (body: Buffer, nth: number) => Buffer;
  /** Turns any bytes into a body that has a frame. */
  readonly body?: (bytes: Buffer) => Buffer;
  /** What onPacket gets, if not the body. */
  readonly packet?: (body: Buffer, frame: Buffer) => Buffer;
  /** sendPacket() cannot write them: a part that is stripped is known to the peer alone. */
  readonly receiveOnly?: boolean;
}

const limit = { maxFrameLength: 400 };

/** A number in `size` bytes. */
export function fixed(value: number, size: number, littleEndian = false): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  const used = bytes.subarray(8 - size);
  return littleEndian ? used.reverse() : used;
}

export function varint(value: number): Buffer {
  const groups = value
    .toString(2)
    .match(/.{1,7}(?=(.{7})*$)/g)!
    .reverse();
  return Buffer.from(groups.map((bits, i) => Number.parseInt(bits, 2) + (i < groups.length - 1 ? 128 : 0)));
}

/** Without a byte, as the delimiters of one kind would have it. */
const without = (byte: number) => (bytes: Buffer) => bytes.map((value) => (value === byte ? 0 : value)) as Buffer;

const TYPE = Buffer.from('ab');

/** A framer of somebody else's: the length in decimal, a colon, the body, a comma (https://cr.yp.to/proto/netstrings.txt). */
const netstrings: Framer = {
  maxFrameLength: 400,
  measure(bytes, start) {
    const [, digits, rest] = /^(\d{0,3})(.?)/s.exec(bytes.toString('latin1', start, start + 4))!;
    if (rest === '') return 0;
    if (digits === '' || rest !== ':') throw new IocpError('read a netstring', 'it has no length', 'EPROTO', 'receive');
    return digits!.length + 2 + Number(digits);
  },
  body: (bytes, start, end) => bytes.subarray(bytes.indexOf(':', start) + 1, end - 1),
  header: (body) => Buffer.from(`${body.length}:`),
  trailer: () => Buffer.from(','),
};

const sizes = [1, 2, 4, 8] as const;

export const kinds: readonly Kind[] = [
  ...sizes.flatMap((size): Kind[] => [
    {
      name: `a length of ${size} bytes`,
      framer: lengthPrefixed({ ...limit, size }),
      frame: (body) => Buffer.concat([fixed(body.length, size), body]),
    },
    {
      name: `a length of ${size} bytes, little-endian, that counts itself`,
      framer: lengthPrefixed({ ...limit, size, littleEndian: true, countsHeader: true }),
      frame: (body) => Buffer.concat([fixed(body.length + size, size, true), body]),
    },
  ]),
  {
    name: 'a length with an adjustment',
    framer: lengthPrefixed({ ...limit, size: 2, adjustment: -7 }),
    frame: (body) => Buffer.concat([fixed(body.length + 7, 2), body]),
  },
  {
    name: 'a length behind other bytes',
    framer: lengthPrefixed({ ...limit, size: 2, offset: 2 }),
    frame: (body) => Buffer.concat([TYPE, fixed(body.length, 2), body]),
    receiveOnly: true,
  },
  {
    name: 'whole frames',
    framer: lengthPrefixed({ ...limit, size: 2, offset: 2, countsHeader: true, strip: 0 }),
    frame: (body) => Buffer.concat([TYPE, fixed(body.length + 4, 2), body]),
    packet: (_, frame) => frame,
  },
  {
    name: 'a header that is stripped in part',
    framer: lengthPrefixed({ ...limit, size: 1, offset: 2, adjustment: 1, strip: 2 }),
    frame: (body) => Buffer.concat([TYPE, fixed(body.length, 1), TYPE.subarray(1), body]),
    packet: (_, frame) => frame.subarray(2),
    receiveOnly: true,
  },
  {
    name: 'a varint',
    framer: lengthPrefixed({ ...limit, size: 'varint' }),
    frame: (body) => Buffer.concat([varint(body.length), body]),
  },
  {
    name: 'a varint that counts itself',
    framer: lengthPrefixed({ ...limit, size: 'varint', countsHeader: true }),
    frame: (body) => Buffer.concat([varint(body.length + (body.length < 127 ? 1 : 2)), body]),
  },
  {
    name: 'a varint behind a type',
    framer: lengthPrefixed({ ...limit, size: 'varint', offset: 1 }),
    frame: (body) => Buffer.concat([TYPE.subarray(1), varint(body.length), body]),
    receiveOnly: true,
  },
  {
    name: 'a delimiter of one byte',
    framer: delimited(';', limit),
    frame: (body) => Buffer.concat([body, Buffer.from(';')]),
    body: without(59),
  },
  {
    name: 'a delimiter that overlaps itself',
    framer: delimited(Buffer.from([9, 9, 1, 9, 9]), limit),
    frame: (body) => Buffer.concat([body, Buffer.from([9, 9, 1, 9, 9])]),
    body: without(1),
  },
  {
    name: 'lines of either kind',
    framer: lines(limit),
    // What sendPacket() writes is the first of them.
    frame: (body, nth) => Buffer.concat([body, Buffer.from(nth % 2 === 0 ? '\n' : '\r\n')]),
    body: (bytes) => without(13)(without(10)(bytes)),
  },
  ...[1, 7].map((length): Kind => {
    return {
      name: `frames of ${length} bytes`,
      framer: fixedLength(length),
      frame: (body) => body,
      body: (bytes) => Buffer.alloc(length, Buffer.concat([bytes, TYPE])),
    };
  }),
  {
    name: "somebody's own framer",
    framer: netstrings,
    frame: (body) => Buffer.from(`${body.length}:${body.toString('latin1')},`, 'latin1'),
  },
];
