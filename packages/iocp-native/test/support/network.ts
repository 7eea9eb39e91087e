// Where the peers of the rules live: on the loopback interface, by node:net, which shares nothing with the port under test.

import { createConnection, createServer } from 'node:net';
import type { Endpoint, PipeEndpoint } from '../../src/contract/port.js';

/** What the rules use of a peer's socket. A net.Socket is one. */
export interface RawSocket {
  readonly connecting: boolean;
  readonly localPort?: number | undefined;
  readonly remotePort?: number | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: each event has arguments of its own
  on(event: string, listener: (...args: any[]) => void): unknown;
  write(bytes: Uint8Array | string, done?: (error?: Error | null) => void): unknown;
  end(bytes?: Uint8Array | string): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
  resetAndDestroy(): unknown;
}

export interface RawServer {
  readonly endpoint: Endpoint;
  close(): Promise<void>;
}

export interface PeerNetwork {
  connect(to: Endpoint | PipeEndpoint): RawSocket;
  /** Listens on 127.0.0.1, or on a path. */
  listen(onConnection: (raw: RawSocket) => void, at?: PipeEndpoint): Promise<RawServer>;
}

export const loopback: PeerNetwork = {
  connect(to) {
    const target = 'path' in to ? to : { host: to.address, port: to.port };
    return createConnection({ ...target, allowHalfOpen: true, noDelay: true });
  },
  listen(onConnection, at) {
    const server = createServer({ allowHalfOpen: true }, onConnection);
    const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
    return new Promise((resolve) =>
      server.listen(at ?? { host: '127.0.0.1', port: 0 }, () => {
        const port = at ? 0 : (server.address() as { port: number }).port;
        resolve({ endpoint: { address: '127.0.0.1', family: 4, port }, close });
      }),
    );
  },
};
