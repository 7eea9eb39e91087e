// An HTTP server that lives as long as a core.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import type { IocpCore } from '@overlapped/session';

/** Answers `GET path`, and `HEAD path`, of which node:http sends the header alone. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** What browsers are told with each answer: nothing here is for another site's page. */
const HEADERS = {
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

/**
 * Serves `GET` and `HEAD` of some paths, with any query, until the core stops, and gives the server's URL, without a path.
 * Rejects with what the system says: EADDRINUSE ... Port 0 takes a free one.
 *
 * On a loopback address it answers requests that name this machine: by an address, or as localhost. Others get 421: a page of
 * any site can have its own name resolve to 127.0.0.1, and would read what is answered (DNS rebinding).
 */
export async function serveHttp(
  core: IocpCore,
  host: string,
  port: number,
  answers: Readonly<Record<string, Answer>>,
): Promise<string> {
  const paths = new Map(Object.entries(answers));
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const answer = paths.get((request.url ?? '').split('?', 1)[0]!);
    if (isLoopback(request) && !namesAddress(request.headers.host ?? '')) response.writeHead(421).end();
    else if (answer === undefined) response.writeHead(404).end();
    else if (request.method !== 'GET' && request.method !== 'HEAD')
      response.writeHead(405, { Allow: 'GET, HEAD' }).end();
    else answer(response, request);
  });
  server.listen(port, host);
  await once(server, 'listening');
  // A connection that could not be accepted is not worth the server.
  server.on('error', (error) => process.emitWarning(error));
  core.attach({
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  });
  const { address, family, port: taken } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`;
}

/** Whether a request came over the loopback interface. */
function isLoopback({ socket: { localAddress = '' } }: IncomingMessage): boolean {
  return /^(::ffff:)?127\./.test(localAddress) || localAddress === '::1';
}

/** Whether a Host header has an address, or localhost, and no name that somebody's DNS may resolve. */
function namesAddress(host: string): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  return name === 'localhost' || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}
