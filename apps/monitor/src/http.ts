// An HTTP server for pages on this machine. It can live as long as a core.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import type { IocpCore } from '@overlapped/session';

/** Answers a request for one path. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export interface HttpServer {
  /** Without a path. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Headers of each answer: no page of another site may use it. */
const HEADERS = {
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

/**
 * Serves paths, with any query. The name of an answer is its path, for `GET` and `HEAD` (of which node:http sends the header
 * alone), or `POST` and its path. Rejects with the system's error: EADDRINUSE ... Port 0 takes a free one.
 *
 * On a loopback address it answers requests that name this machine: by an address, or as localhost. Others get 421: a page of
 * any site can have its own name resolve to 127.0.0.1, and would read the answer (DNS rebinding). A `POST` of another
 * site's page gets 403.
 */
export async function openHttp(
  host: string,
  port: number,
  answers: Readonly<Record<string, Answer>>,
): Promise<HttpServer> {
  const named = new Map(Object.entries(answers));
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const path = (request.url ?? '').split('?', 1)[0]!;
    const [get, post] = [named.get(path), named.get(`POST ${path}`)];
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const answer = reads ? get : request.method === 'POST' ? post : undefined;
    const { host = '', origin } = request.headers;
    if (isLoopback(request) && !namesAddress(host)) response.writeHead(421).end();
    else if (answer === undefined && get === undefined && post === undefined) response.writeHead(404).end();
    else if (answer === undefined) response.writeHead(405, { Allow: post === undefined ? 'GET, HEAD' : 'POST' }).end();
    else if (!reads && origin !== undefined && origin !== `http://${host}`) response.writeHead(403).end();
    else answer(response, request);
  });
  server.listen(port, host);
  await once(server, 'listening');
  // A connection that could not be accepted is no reason to stop.
  server.on('error', (error) => process.emitWarning(error));
  const stop = async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  const { address, family, port: taken } = server.address() as AddressInfo;
  return { url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`, stop };
}

/** As openHttp(), until the core stops. Gives the server's URL, without a path. */
export async function serveHttp(
  core: IocpCore,
  host: string,
  port: number,
  answers: Readonly<Record<string, Answer>>,
): Promise<string> {
  const server = await openHttp(host, port, answers);
  core.attach(server);
  return server.url;
}

/** Answers with a file. The policy names the resources that it may load. */
export function fileAnswer(type: string, body: Buffer, policy: string): Answer {
  const headers = {
    'Content-Type': `${type}; charset=utf-8`,
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': policy,
  };
  return (response) => {
    response.writeHead(200, headers).end(body);
  };
}

/** Whether a request came over the loopback interface. */
function isLoopback({ socket: { localAddress = '' } }: IncomingMessage): boolean {
  return /^(::ffff:)?127\./.test(localAddress) || localAddress === '::1';
}

/** Whether a Host header has an address, or localhost, and not another name, which any DNS server may resolve. */
function namesAddress(host: string): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  return name === 'localhost' || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}
