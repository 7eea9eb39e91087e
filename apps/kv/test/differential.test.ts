// The same requests to this server and to the real one, replies compared byte for byte.

import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { encode, onEachBackend, RawClient, serveHere, serveRedis, whyNoProgram } from './support.js';

const reason = whyNoProgram('redis-server');
/** Broken inputs: each is a connection to both servers, so most are for machines that test. */
const BROKEN = process.env.CI === undefined ? 1500 : 6000;
/** So many are sent at the same time: one after another, they wait for the turns of two processes on a busy machine. */
const AT_ONCE = 20;

const key = fc.constantFrom('a', 'b', 'c', '', 'k\r\n\0\xff');
const integer = fc.constantFrom('0', '1', '-1', '10', '9007199254740991', '-9007199254740992', '9223372036854775806');
const noInteger = fc.constantFrom(
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '1.5',
  ' 1',
  '01',
);
const value = fc.oneof(
  integer,
  noInteger,
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.constantFrom('', 'x'.repeat(3000), 'y'.repeat(20_000), '-0', '+1'),
);
// Not near to where a second more or less would show.
const far = ['9223372036854775807', '9223372036854775', '-9223372036854775', '-9223372036854776'];
const time = fc.constantFrom('100', '1000', '0', '-1', ...far, 'x', '');
const option = fc.oneof(
  fc.constantFrom(['NX'], ['xx'], ['GET'], ['KeepTTL'], ['foo'], ['EX'], ['']),
  time.map((seconds) => ['EX', seconds]),
  time.map((seconds) => ['px', seconds === '100' || seconds === '1000' ? `${seconds}000` : seconds]),
);

const request = fc.oneof(
  fc.tuple(fc.constantFrom('GET', 'get', 'INCR', 'TTL', 'DEL', 'EXISTS', 'Ttl'), key),
  fc.tuple(fc.constantFrom('SET', 'sEt'), key, value),
  fc
    .tuple(key, value, fc.array(option, { minLength: 1, maxLength: 3 }))
    .map(([name, set, options]) => ['SET', name, set, ...options.flat()]),
  fc.tuple(fc.constant('EXPIRE'), key, time),
  fc.array(key, { maxLength: 4 }).map((names) => ['MGET', ...names]),
  fc.array(key, { maxLength: 4 }).map((names) => ['DEL', ...names]),
  fc.array(key, { maxLength: 4 }).map((names) => ['EXISTS', ...names]),
  fc.array(fc.oneof(key, value), { maxLength: 7 }).map((rest) => ['MSET', ...rest]),
  fc.array(value, { maxLength: 2 }).map((rest) => ['PING', ...rest]),
  fc.array(value, { maxLength: 2 }).map((rest) => ['ECHO', ...rest]),
  fc.constantFrom(
    ['DBSIZE'],
    ['dbsize', 'x'],
    ['FLUSHALL'],
    ['FLUSHALL', 'async'],
    ['FLUSHALL', 'x'],
    ['FLUSHALL', '', ''],
  ),
  fc.constantFrom(['SELECT', '0'], ['SELECT', '1'], ['SELECT', 'x'], ['SELECT'], ['SELECT', '-1']),
  fc.constantFrom(
    ['CONFIG', 'GET', 'save'],
    ['CONFIG', 'get', 'appendonly'],
    ['CONFIG', 'GET', 'foo'],
    ['CONFIG', 'GET'],
  ),
  fc.constantFrom(['CONFIG'], ['CONFIG', 'FOO'], ['CLIENT'], ['CLIENT', 'foo'], ['CLIENT', 'GETNAME', 'x']),
  fc.tuple(fc.constant('CLIENT'), fc.constant('SETNAME'), fc.constantFrom('me', '', 'a b', 'x\n')),
  fc.constantFrom(
    ['CLIENT', 'GETNAME'],
    ['HELLO', 'x'],
    ['HELLO', '4'],
    ['HELLO', '2', 'FOO'],
    ['HELLO', '3', 'SETNAME'],
  ),
  fc.tuple(fc.constantFrom('FOO', '', 'GETT', 'f\r\no', 'x'.repeat(200)), value, value),
  fc.array(value, { maxLength: 3 }).map((rest) => ['NOTHING', ...rest]),
  fc.tuple(fc.constantFrom('GET', 'INCR', 'TTL', 'DBSIZE', 'SET', 'ECHO', 'SELECT', 'EXPIRE')),
);

// Where Redis stops at a zero byte, as C does, this server goes on to the end of the line.
const symbol = fc.constantFrom(
  '*',
  '$',
  '\r',
  '\n',
  '\r\n',
  '-',
  '0',
  '1',
  '2',
  '12',
  'a',
  ' ',
  '"',
  "'",
  '*1\r\n',
  '*1\r\n$4\r\nPING\r\n',
);

// Redis takes 2^31 arguments in one request and waits for them; this server says no beyond 2^20.
const broken = fc
  .array(symbol, { maxLength: 12 })
  .map((symbols) => symbols.join(''))
  .filter((text) => [...text.matchAll(/\*(\d+)/g)].every(([, count]) => Number(count) <= 1 << 20));

let marks = 0;

onEachBackend((backend) => {
  // Where it is not installed, the reason is in the title.
  describe.skipIf(reason)(`replies are those of redis-server${reason ? ` (${reason})` : ''}`, () => {
    let redis: number;

    beforeAll(async () => {
      const { port, stop } = await serveRedis();
      redis = port;
      return stop;
    });

    async function connectBoth() {
      const { port } = await serveHere(backend);
      return Promise.all([port, redis].map((each) => RawClient.connect(each)));
    }

    async function answer(client: RawClient, bytes: Buffer, mark: string): Promise<string> {
      client.socket.write(bytes);
      client.request('ECHO', mark);
      return (await client.readTo(`${mark}\r\n`)).toString('latin1');
    }

    test.each(['2', '3'])('to sequences of commands, RESP%s', { timeout: 60_000 }, async (protocol) => {
      const clients = await connectBoth();
      const names = encode(['CLIENT', 'SETNAME', '']);
      for (const client of clients) await answer(client, encode(['HELLO', protocol]), 'hello');
      await fc.assert(
        fc.asyncProperty(fc.array(request, { maxLength: 30 }), async (requests) => {
          const bytes = Buffer.concat([encode(['FLUSHALL']), names, ...requests.map((each) => encode(each))]);
          const mark = `mark ${marks++}`;
          const ask = () => Promise.all(clients.map((client) => answer(client, bytes, mark)));
          const [ours, theirs] = await ask();
          if (ours === theirs) return;
          // One of the two may have been held up for so long that a TTL shows it. A real difference occurs again.
          const [again, theirsAgain] = await ask();
          expect(again).toBe(theirsAgain);
        }),
        { numRuns: 400 },
      );
    });

    // 40 ms for each input: a machine that tests has more of them, and more to do.
    test('to broken input, and then both hang up', { timeout: 40 * BROKEN }, async () => {
      const { port } = await serveHere(backend);
      async function replyOf(server: number, text: string): Promise<string> {
        const client = await RawClient.connect(server);
        client.socket.end(text);
        return client.readAll();
      }
      await fc.assert(
        fc.asyncProperty(fc.array(broken, { minLength: AT_ONCE, maxLength: AT_ONCE }), async (texts) => {
          const [ours, theirs] = await Promise.all(
            [port, redis].map((server) => Promise.all(texts.map((text) => replyOf(server, text)))),
          );
          expect(ours).toEqual(theirs);
        }),
        { numRuns: BROKEN / AT_ONCE },
      );
    });

    test.each([
      '*1\r\n$-5\r\n',
      '*1\r\n!\r\n',
      'get "\n',
      `*${'1'.repeat(70_000)}`,
      'x'.repeat(70_000),
      '*2147483648\r\n',
    ])('to %.20j without the client hanging up', async (text) => {
      const [ours, theirs] = await Promise.all(
        (await connectBoth()).map((client) => {
          client.socket.write(text);
          return client.readAll();
        }),
      );
      expect(ours).toBe(theirs);
      expect(ours).toMatch(/^-ERR Protocol error/);
    });
  });
});
