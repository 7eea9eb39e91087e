// The echo server. Nothing more is needed for a server: a core, a module with a class of session, a listener.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { type BackendName, IocpCore, Listener } from '@overlapped/session';

const SESSION = pathToFileURL(createRequire(import.meta.url).resolve('#echo-session'));

export interface EchoOptions {
  readonly host: string;
  readonly port: number;
  readonly backend?: BackendName;
  /** Worker threads. With 0, or where the backend cannot share work between threads, this thread serves. */
  readonly threads: number;
}

export interface EchoServer {
  readonly core: IocpCore;
  readonly listener: Listener;
}

/** Serves until `core.stop()`. Rejects with an IocpError: EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOTSUP ... */
export async function startEcho({ host, port, ...options }: EchoOptions): Promise<EchoServer> {
  const core = new IocpCore(options);
  try {
    return { core, listener: await Listener.listen(core, { host, port, module: SESSION }) };
  } catch (error) {
    await core.stop();
    throw error;
  }
}
