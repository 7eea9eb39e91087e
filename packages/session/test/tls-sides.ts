// Both ends of a TLS connection, by node:tls and by sessions, with one interface, so that they can be compared.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type net from 'node:net';
import tls from 'node:tls';
import type { Core } from '@overlapped/net-core/internal';
import { onTestFinished } from 'vitest';
import { Connector, Listener, Session, type TlsClientOptions, type TlsServerOptions } from '../src/index.js';
import { codeOf } from './streams.js';
import { deferred } from './support.js';

export const HOST = '127.0.0.1';

/** What one end says of a connection: its TLS, or the code of its failure. */
export interface Said {
  readonly failed?: string;
  readonly protocol?: string | null;
  readonly cipher?: string;
  readonly alpn?: string | false | null;
  readonly servername?: string | false | null | undefined;
  readonly authorized?: boolean;
  readonly why?: string | null;
  readonly peer?: string | undefined;
  readonly reused?: boolean;
}

/** A server echoes, and ends when its peer has ended. */
export interface Server {
  readonly port: number;
  /** What it says of its first connection. */
  readonly said: Promise<Said>;
}

export interface Side {
  serve(options: TlsServerOptions): Promise<Server>;
  /** Connects, has a text echoed, and ends. */
  ask(port: number, options: TlsClientOptions): Promise<Said>;
}

const nameOf = (subject: string) => /^CN=(.*)$/m.exec(subject)?.[1];

export const nodeSide: Side = {
  async serve({ contexts = {}, ...options }) {
    const { promise, resolve } = deferred<Said>();
    const server = tls.createServer(options as tls.TlsOptions, (socket) => {
      resolve(saidOf(socket));
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    for (const [name, credentials] of Object.entries(contexts))
      server.addContext(name, credentials as tls.SecureContextOptions);
    server.on('tlsClientError', (error) => resolve({ failed: codeOf(error) }));
    await new Promise<void>((listening) => server.listen(0, HOST, listening));
    onTestFinished(() => void server.close());
    return { port: (server.address() as net.AddressInfo).port, said: promise };
  },
  async ask(port, options) {
    const { promise, resolve } = deferred<Said>();
    try {
      const socket = tls.connect({ port, host: HOST, ...(options as tls.ConnectionOptions) });
      socket.on('error', (error) => resolve({ failed: codeOf(error) }));
      socket.on('secureConnect', () => socket.write('hello'));
      socket.on('data', () => {
        resolve(saidOf(socket));
        socket.end();
      });
      socket.on('close', () => resolve({ failed: 'closed' }));
    } catch (error) {
      resolve({ failed: codeOf(error) });
    }
    return promise;
  },
};

export const sessionSide = (core: Core): Side => ({
  async serve(options) {
    const { promise, resolve } = deferred<Said>();
    const note = (message: unknown) => resolve({ failed: codeOf((message as { error: Error }).error) });
    subscribe('overlapped:tls-failed', note);
    onTestFinished(() => void unsubscribe('overlapped:tls-failed', note));
    class Echo extends Session {
      override onConnected() {
        resolve(infoOf(this));
      }
      override onReceive(data: Buffer) {
        this.send(data);
      }
    }
    const listener = await Listener.listen(core, { host: HOST, port: 0, tls: options, session: Echo });
    return { port: listener.endpoint.port, said: promise };
  },
  async ask(port, options) {
    const { promise, resolve } = deferred<Said>();
    class Client extends Session {
      override onReceive() {
        resolve(infoOf(this));
        this.end();
      }
      override onDisconnected(error?: Error) {
        resolve({ failed: error ? codeOf(error) : 'closed' });
      }
    }
    try {
      const connector = new Connector(core, { tls: options, session: Client });
      (await connector.connect({ host: HOST, port })).send('hello');
    } catch (error) {
      resolve({ failed: codeOf(error) });
    }
    return promise;
  },
});

function saidOf(socket: tls.TLSSocket): Said {
  const peer = socket.getPeerX509Certificate?.();
  const error = socket.authorizationError as unknown as Error | string | undefined;
  return {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().name,
    alpn: socket.alpnProtocol || false,
    servername: socket.servername || false,
    authorized: socket.authorized,
    why: !error || peer === undefined ? null : typeof error === 'string' ? error : codeOf(error),
    peer: peer && nameOf(peer.subject),
    reused: socket.isSessionReused(),
  };
}

function infoOf(session: Session): Said {
  const info = session.tls!;
  return {
    protocol: info.protocol,
    cipher: info.cipher.name,
    alpn: info.alpnProtocol,
    servername: info.servername,
    authorized: info.authorized,
    why: info.authorizationError,
    peer: info.peerCertificate && nameOf(info.peerCertificate.subject),
    reused: info.reused,
  };
}
