// Node's http, and what is built on it, served over sessions.

import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import autocannon from 'autocannon';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { withClock } from './clock.js';
import { ask, fastifyServer, hashOf, hashOfLarge, LARGE, largeBody, serve, serveRequests } from './http-support.js';
import { openCore, turns } from './streams.js';
import { listen, onEachBackend, pattern, read } from './support.js';

onEachBackend((backend) => {
  describe('requests', () => {
    // With more than one on the way, it does not wait for the answers to its last requests.
    test.each([1, 4])('autocannon, with %i requests on their way on each connection', async (pipelining) => {
      const amount = 2000;
      const connections = 10;
      const { url, streams } = await serveRequests(backend, (_, response) => response.end('hello'));
      const result = await autocannon({ url, connections, pipelining, amount, expectBody: 'hello', sampleInt: 20 });
      expect(result).toMatchObject({ non2xx: 0, errors: 0, timeouts: 0, mismatches: 0, resets: 0 });
      expect(result['2xx']).toBe(amount - connections * (pipelining - 1));
      expect(streams).toHaveLength(connections);
    });

    test('a connection is kept alive, and closed when it is to be', async () => {
      const { url, streams } = await serveRequests(backend, (request, response) => {
        response.end(`${request.method} ${request.url} from ${request.socket.remoteAddress}`);
      });
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      for (let i = 0; i < 5; i++) {
        const { response, text } = await ask(`${url}/${i}`, { agent });
        expect(text).toBe(`GET /${i} from 127.0.0.1`);
        expect(response.headers.connection).toBe('keep-alive');
      }
      const closed = once(streams[0]!, 'close');
      const { response } = await ask(url, { agent, headers: { connection: 'close' } });
      expect(response.headers.connection).toBe('close');
      await closed;
      expect(streams).toHaveLength(1);
      agent.destroy();
    });

    test('a connection that is idle for keepAliveTimeout is closed', async () => {
      const { url, server } = await serveRequests(backend, (_, response) => response.end());
      server.keepAliveTimeout = 20;
      const closed = new Promise((resolve) => server.once('connection', (stream) => stream.once('close', resolve)));
      const agent = new http.Agent({ keepAlive: true });
      await ask(url, { agent });
      await closed;
      agent.destroy();
    });

    test('a listener that stops lets http finish its answer, and resets what is not over after the grace', async () => {
      await withClock(backend, async (core, hand) => {
        const server = http.createServer((_, response) => void response.write('begun, '));
        const listener = await listen(core, {
          session: { onConnected: (session) => void server.emit('connection', session.toDuplex()) },
        });
        const url = `http://127.0.0.1:${listener.endpoint.port}`;
        const begin = async () => {
          const served = once(server, 'request');
          const request = http.get(url, { agent: false }).on('error', () => {});
          const [response] = await once(request, 'response');
          expect(String(await read(response, 7))).toBe('begun, ');
          return { response, answer: (await served)[1] as http.ServerResponse };
        };
        const first = await begin();
        const second = await begin();
        const stopped = listener.stop(300);
        await turns();
        await expect(once(net.connect(listener.endpoint.port, '127.0.0.1'), 'connect')).rejects.toThrow('ECONNREFUSED');
        hand.pass(299);
        first.answer.write('going on, ');
        first.answer.end('and done');
        expect(await text(first.response)).toBe('going on, and done');
        const cut = expect(text(second.response)).rejects.toMatchObject({ code: 'ECONNRESET' });
        hand.pass(100);
        await cut;
        await stopped;
      });
    });

    test('a listener that stops leaves idle connections to http, which closes them', async () => {
      const server = http.createServer((_, response) => response.end('done'));
      server.emit('listening');
      const listener = await listen(openCore(backend), {
        session: { onConnected: (session) => void server.emit('connection', session.toDuplex()) },
      });
      const agent = new http.Agent({ keepAlive: true });
      const free = once(agent, 'free');
      await ask(`http://127.0.0.1:${listener.endpoint.port}`, { agent });
      const [socket] = await free;
      const closed = once(socket, 'close');
      const stopped = listener.stop();
      server.close();
      await Promise.all([closed, stopped]);
    });

    test('slow headers get 408, when the server tracks its connections', async () => {
      const server = http.createServer({ headersTimeout: 50, connectionsCheckingInterval: 20 });
      // What http does when it listens itself.
      server.emit('listening');
      onTestFinished(() => void server.close());
      const { port } = await serve(backend, server);
      const client = net.connect(port, '127.0.0.1');
      client.write('GET / HTTP/1.1\r\nHost: ');
      expect(String(await read(client, 12))).toMatch('HTTP/1.1 408 ');
      client.destroy();
    });

    test('chunked bodies and trailers, both ways', async () => {
      const { url } = await serveRequests(backend, async (request, response) => {
        response.setHeader('trailer', 'sum');
        let sum = 0;
        for await (const chunk of request) {
          sum += chunk.length;
          response.write(chunk);
        }
        response.addTrailers({ sum: `${sum} ${request.trailers.sum}` });
        response.end();
      });
      const request = http.request(url, { method: 'POST', headers: { trailer: 'sum' } });
      for (const part of ['one ', 'two ', 'three']) request.write(part);
      request.addTrailers({ sum: 'from the client' });
      request.end();
      const [response] = await once(request, 'response');
      let text = '';
      for await (const part of response) text += part;
      expect(text).toBe('one two three');
      expect(response.headers['transfer-encoding']).toBe('chunked');
      expect(response.trailers).toEqual({ sum: '13 from the client' });
    });

    test(`an upload of ${LARGE} bytes arrives whole`, async () => {
      const { url } = await serveRequests(backend, async (request, response) => {
        response.end(await hashOf(request));
      });
      const expected = await hashOfLarge();
      const request = http.request(url, { method: 'POST' });
      const answered = once(request, 'response');
      await pipeline(largeBody(), request);
      const [response] = await answered;
      expect(String(await read(response, 40))).toBe(expected);
    });

    test(`a download of ${LARGE} bytes arrives whole`, async () => {
      const { url } = await serveRequests(backend, (_, response) => {
        largeBody().pipe(response);
      });
      const [response] = await once(http.get(url), 'response');
      expect(await hashOf(response)).toBe(await hashOfLarge());
    });

    test('a slow reader holds the response back, and gets all of it', async () => {
      const length = 20_000_000;
      const { url, streams } = await serveRequests(backend, (_, response) => response.end(pattern(length)));
      const [response] = await once(http.get(url), 'response');
      await turns();
      expect(streams[0]!.writableLength).toBeGreaterThan(0);
      expect((await read(response, length)).equals(pattern(length))).toBe(true);
    });

    test('Expect: 100-continue', async () => {
      const { url } = await serveRequests(backend, async (request, response) => {
        for await (const chunk of request) response.write(chunk);
        response.end();
      });
      const request = http.request(url, { method: 'POST', headers: { expect: '100-continue' } });
      request.flushHeaders();
      await once(request, 'continue');
      request.end('the body');
      const [response] = await once(request, 'response');
      expect(String(await read(response, 8))).toBe('the body');
    });

    test('a client that goes away in the middle ends its request, and no other', async () => {
      const { url, port } = await serveRequests(backend, async (request, response) => {
        if (request.method === 'GET') response.end('still here');
        else request.on('error', (error) => failed.push(error)).resume();
      });
      const failed: Error[] = [];
      const client = net.connect(port, '127.0.0.1');
      client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart of it');
      const agent = new http.Agent({ keepAlive: true });
      expect((await ask(url, { agent })).text).toBe('still here');
      client.resetAndDestroy();
      while (failed.length === 0) expect((await ask(url, { agent })).text).toBe('still here');
      expect(failed[0]).toMatchObject({ code: 'ECONNRESET' });
      agent.destroy();
    });

    test('what is no HTTP gets 400, and the connection closes', async () => {
      const { port } = await serveRequests(backend, () => expect.fail());
      const client = net.connect(port, '127.0.0.1');
      client.write('what is this?\r\n\r\n');
      expect(String(await read(client, 12))).toMatch('HTTP/1.1 400 ');
      await once(client, 'close');
    });
  });

  describe('beyond requests', () => {
    test('an upgrade hands the connection over', async () => {
      const { port, server } = await serveRequests(backend, () => expect.fail());
      server.on('upgrade', (_, socket, head) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
        socket.write(head);
        socket.pipe(socket);
      });
      const request = http.request({ port, headers: { connection: 'upgrade', upgrade: 'echo' } }).end();
      const [response, socket] = await once(request, 'upgrade');
      expect(response.statusCode).toBe(101);
      socket.end('both ways');
      expect(String(await read(socket, 9))).toBe('both ways');
    });

    test('Fastify', async () => {
      const { url } = await serve(backend, await fastifyServer());
      expect(JSON.parse((await ask(`${url}/hello/world`)).text)).toEqual({ hello: 'world', ip: '127.0.0.1' });
      const post = { method: 'POST', headers: { 'content-type': 'application/json' } };
      expect(JSON.parse((await ask(`${url}/sum`, post, '[1,2,3]')).text)).toEqual({ sum: 6 });
      expect((await ask(`${url}/nowhere`)).response.statusCode).toBe(404);
    });

    test('ws: texts, large messages, pings, and an orderly end', async () => {
      const { port, server, streams } = await serveRequests(backend, () => expect.fail());
      const sockets = new WebSocketServer({ server });
      sockets.on('connection', (socket) => {
        socket.on('message', (data, binary) => socket.send(data, { binary }));
      });
      const client = new WebSocket(`ws://127.0.0.1:${port}`);
      await once(client, 'open');
      for (const message of ['hello', pattern(1_000_000), '']) {
        client.send(message);
        const [data, binary] = await once(client, 'message');
        expect([binary, data.equals(Buffer.from(message))]).toEqual([typeof message !== 'string', true]);
      }
      client.ping('are you there?');
      expect(String((await once(client, 'pong'))[0])).toBe('are you there?');
      const closed = once(streams[0]!, 'close');
      client.close(4000, 'enough');
      const [code, reason] = await once(client, 'close');
      expect([code, String(reason)]).toEqual([4000, 'enough']);
      expect(await closed).toEqual([false]);
    });
  });
});
