// An HTTP server that lives as long as a core.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { IocpCore } from '@overlapped/net-core';

/** Answers `GET path`. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/**
 * Serves `GET` of some paths until the core stops, and gives the server's URL, without a path. Rejects with what the system
 * says: EADDRINUSE ... Port 0 takes a free one.
 */
export async function serveHttp(
  core: IocpCore,
  host: string,
  port: number,
  answers: Readonly<Record<string, Answer>>,
): Promise<string> {
  const paths = new Map(Object.entries(answers));
  const server = createServer((request, response) => {
    const answer = paths.get(request.url ?? '');
    if (answer === undefined) response.writeHead(404).end();
    else if (request.method !== 'GET') response.writeHead(405, { Allow: 'GET' }).end();
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
