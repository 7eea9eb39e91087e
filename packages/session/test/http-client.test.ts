// HTTP clients over sessions: undici against our server, and over connections of our own, and http2.

import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { Client, request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { Connector } from '../src/index.js';
import { hashOf, hashOfLarge, largeBody, serveRequests } from './http-support.js';
import { listenForStreams, openCore } from './streams.js';
import { onEachBackend, pattern, read } from './support.js';

onEachBackend((backend) => {
  /** Connections of our own to a port. */
  function dialer(port: number) {
    const connector = new Connector(openCore(backend), { session: {} });
    return async () => (await connector.connect({ host: '127.0.0.1', port })).toDuplex();
  }

  test('undici talks to our server', async () => {
    const { url, streams } = await serveRequests(backend, async (incoming, response) => {
      response.end(`${incoming.url} ${await hashOf(incoming)}`);
    });
    const client = new Client(url, { pipelining: 4 });
    onTestFinished(() => client.close());
    const hash = await hashOfLarge();
    const answers = await Promise.all(
      [1, 2, 3, 4].map(async (i) => (await client.request({ path: `/${i}`, method: 'GET' })).body.text()),
    );
    expect(answers.map((answer) => answer.split(' ')[0])).toEqual(['/1', '/2', '/3', '/4']);
    const { body } = await client.request({ path: '/', method: 'POST', body: largeBody() });
    expect(await body.text()).toBe(`/ ${hash}`);
    expect(streams).toHaveLength(1);
    expect(await (await request(`${url}/alone`)).body.text()).toMatch('/alone');
  });

  test('undici over sessions talks to http', async () => {
    const server = http.createServer((incoming, response) => incoming.pipe(response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const dial = dialer(port);
    let connections = 0;
    const client = new Client(`http://127.0.0.1:${port}`, {
      connect(_options, callback) {
        connections++;
        dial().then(
          (stream) => callback(null, stream as never),
          (error) => callback(error, null),
        );
      },
    });
    onTestFinished(() => client.close());
    for (const text of ['one', 'two', 'three']) {
      const { statusCode, body } = await client.request({ path: '/', method: 'POST', body: text });
      expect([statusCode, await body.text()]).toEqual([200, text]);
    }
    const { body } = await client.request({ path: '/', method: 'POST', body: largeBody() });
    expect(await hashOf(body)).toBe(await hashOfLarge());
    expect(connections).toBe(1);
  });

  test('undici is told when a session cannot connect', async () => {
    const dial = dialer(1);
    const client = new Client('http://127.0.0.1:1', {
      connect(_options, callback) {
        dial().then(
          (stream) => callback(null, stream as never),
          (error) => callback(error, null),
        );
      },
    });
    onTestFinished(() => client.close());
    await expect(client.request({ path: '/', method: 'GET' })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('http2, with sessions at both ends', async () => {
    const server = http2.createServer((incoming, response) => incoming.pipe(response));
    const port = await listenForStreams(openCore(backend), (stream) => server.emit('connection', stream));
    const stream = await dialer(port)();
    const client = http2.connect(`http://127.0.0.1:${port}`, { createConnection: () => stream });
    const closed = once(stream, 'close');
    const data = pattern(1_000_000);
    const echoes = [1, 2].map(() => read(client.request({ ':method': 'POST' }).end(data), data.length));
    for (const echo of await Promise.all(echoes)) expect(echo.equals(data)).toBe(true);
    client.close();
    await closed;
  });
});
