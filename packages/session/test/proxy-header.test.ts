// The PROXY header's reader: every split point, every malformed kind, and whatever bytes at all.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readProxyHeader } from '../src/accept/proxy-header.js';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** A header of version 2. */
function binary(command: number, kind: number, body: Buffer, length = body.length): Buffer {
  const fixed = Buffer.from([command, kind, length >> 8, length & 0xff]);
  return Buffer.concat([SIGNATURE, fixed, body]);
}

function inet(source: string, port: number, tlvs = Buffer.alloc(0)): Buffer {
  const ports = Buffer.from([port >> 8, port & 0xff, 0x01, 0xbb]);
  return Buffer.concat([Buffer.from([...source.split('.').map(Number), 10, 0, 0, 1]), ports, tlvs]);
}

function inet6(source: string, port: number): Buffer {
  const words = source.split(':').map((word) => Number.parseInt(word, 16));
  const body = Buffer.alloc(36);
  for (const [i, word] of words.entries()) body.writeUInt16BE(word, 2 * i);
  body.writeUInt16BE(port, 32);
  return body;
}

const v4 = (address: string, port: number) => ({ address, family: 4, port });
const v6 = (address: string, port: number) => ({ address, family: 6, port });

const LONG = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff';

const good: [what: string, header: Buffer, source: object | null][] = [
  ['TCP4', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n'), v4('192.0.2.1', 56324)],
  [
    'TCP4, the longest',
    Buffer.from('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n'),
    v4('255.255.255.255', 65535),
  ],
  ['TCP6', Buffer.from('PROXY TCP6 2001:DB8::1 ::1 0 443\r\n'), v6('2001:db8::1', 0)],
  ['TCP6, the longest', Buffer.from(`PROXY TCP6 ${LONG}1 ${LONG}f 65535 65535\r\n`), v6(`${LONG}1`, 65535)],
  ['TCP6, a mapped address', Buffer.from('PROXY TCP6 ::ffff:1.2.3.4 ::1 5 443\r\n'), v6('::ffff:1.2.3.4', 5)],
  ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), null],
  ['UNKNOWN, the longest', Buffer.from(`PROXY UNKNOWN ${LONG}f ${LONG}f 65535 65535\r\n`), null],
  ['v2 TCP over IPv4', binary(0x21, 0x11, inet('1.2.3.4', 5)), v4('1.2.3.4', 5)],
  ['v2 UDP over IPv4', binary(0x21, 0x12, inet('1.2.3.4', 5)), v4('1.2.3.4', 5)],
  ['v2 with TLVs', binary(0x21, 0x11, inet('1.2.3.4', 5, Buffer.alloc(300, 4))), v4('1.2.3.4', 5)],
  ['v2, the longest', binary(0x21, 0x11, inet('1.2.3.4', 5, Buffer.alloc(65535 - 12))), v4('1.2.3.4', 5)],
  ['v2 TCP over IPv6', binary(0x21, 0x21, inet6('2001:db8:0:0:0:0:0:1', 5)), v6('2001:db8::1', 5)],
  ['v2, a mapped address', binary(0x21, 0x21, inet6('0:0:0:0:0:ffff:102:304', 5)), v6('::ffff:1.2.3.4', 5)],
  ['v2 UNIX', binary(0x21, 0x31, Buffer.alloc(216, '/a')), null],
  ['v2 UNSPEC', binary(0x21, 0x00, Buffer.alloc(0)), null],
  ['v2 UNSPEC with bytes', binary(0x21, 0x00, Buffer.alloc(7)), null],
  ['v2 LOCAL', binary(0x20, 0x00, Buffer.alloc(0)), null],
  ['v2 LOCAL with a family that is ignored', binary(0x20, 0xff, Buffer.alloc(12)), null],
];

const bad: [what: string, bytes: Buffer][] = [
  ['another protocol', Buffer.from('GET / HTTP/1.1\r\n')],
  ['a signature with one wrong byte', Buffer.from('\r\n\r\n\0\r\nQUIT.', 'latin1')],
  ['lower case', Buffer.from('proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n')],
  ['no space after PROXY', Buffer.from('PROXYTCP4')],
  ['two spaces', Buffer.from('PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n')],
  ['a trailing space', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n')],
  ['another family', Buffer.from('PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n')],
  ['the other family', Buffer.from('PROXY TCP4 ::1 ::1 1 1\r\n')],
  ['zeros in front', Buffer.from('PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n')],
  ['zeros in front of a port', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n')],
  ['a port that is too large', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n')],
  ['a port with a sign', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n')],
  ['no port', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4\r\n')],
  ['a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n')],
  ['a bare LF', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 1\nPROXY\r\n')],
  ['no end in 107 bytes', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(93)}`)],
  ['an end after 107 bytes', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`)],
  ['v2 of another version', binary(0x31, 0x11, inet('1.2.3.4', 5))],
  ['v2 with another command', binary(0x22, 0x11, inet('1.2.3.4', 5))],
  ['v2 of another family', binary(0x21, 0x41, inet('1.2.3.4', 5))],
  ['v2 of another type', binary(0x21, 0x13, inet('1.2.3.4', 5))],
  ['v2 too short for IPv4', binary(0x21, 0x11, Buffer.alloc(11))],
  ['v2 too short for IPv6', binary(0x21, 0x21, Buffer.alloc(35))],
  ['v2 too short for UNIX', binary(0x21, 0x31, Buffer.alloc(215))],
];

describe('a PROXY header', () => {
  test.each(good)('%s is read, and what follows left alone', (_, header, source) => {
    expect(readProxyHeader(header)).toEqual({ length: header.length, source });
    const more = Buffer.concat([header, Buffer.from('PROXY \r\n')]);
    expect(readProxyHeader(more)).toEqual({ length: header.length, source });
  });

  test.each(good)('%s is incomplete at every point before its end', (_, header) => {
    // Each length of the first kilobyte, and some of the rest.
    for (let length = 0; length < header.length; length += length < 1024 ? 1 : 997) {
      expect(readProxyHeader(header.subarray(0, length)), `${length} bytes`).toBeNull();
    }
    expect(readProxyHeader(header.subarray(0, header.length - 1))).toBeNull();
  });

  test.each(bad)('%s is refused', (_, bytes) => {
    expect(() => readProxyHeader(bytes)).toThrow(expect.objectContaining({ name: 'IocpError', code: 'EPROTO' }));
  });

  test('what is refused stays so, however much follows, and nothing but a header is one', () => {
    const start = fc.constantFrom(
      '',
      'PROXY ',
      'PROXY TCP4 ',
      'PROXY TCP6 ',
      'PROXY UNKNOWN',
      SIGNATURE.toString('latin1'),
    );
    const bytes = fc.uint8Array({ maxLength: 400 });
    fc.assert(
      fc.property(start, bytes, fc.nat(400), (prefix, rest, cut) => {
        const all = Buffer.concat([Buffer.from(prefix, 'latin1'), rest]);
        const [early, late] = [outcome(all.subarray(0, cut)), outcome(all)];
        // Only "more are needed" may change with more bytes.
        if (early !== null) expect(late).toEqual(early);
        if (late !== null && late !== 'refused') expect(late.length).toBeLessThanOrEqual(all.length);
      }),
      { numRuns: 5000 },
    );
  });

  test('any address and port of a proxy come out as they went in', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV6(), fc.nat(65535), (four, six, port) => {
        const address = canonical(six);
        expect(readProxyHeader(Buffer.from(`PROXY TCP4 ${four} 198.51.100.1 ${port} 1\r\n`))?.source).toEqual(
          v4(four, port),
        );
        expect(readProxyHeader(binary(0x21, 0x11, inet(four, port)))?.source).toEqual(v4(four, port));
        const line = readProxyHeader(Buffer.from(`PROXY TCP6 ${six} ::1 ${port} 1\r\n`))?.source;
        expect(line).toMatchObject({ family: 6, port });
        expect(canonical(line!.address)).toBe(address);
      }),
    );
  });
});

function canonical(address: string): string {
  return new URL(`http://[${address}]`).hostname;
}

function outcome(bytes: Buffer) {
  try {
    return readProxyHeader(bytes);
  } catch {
    return 'refused';
  }
}
