// The echo server: what comes in goes out. Nothing more is needed for a server: a core, a class of session, a listener.

import type { BackendName } from '@overlapped/iocp-native';
import { IocpCore } from '@overlapped/net-core';
import { Listener, Session } from '@overlapped/session';

/** What all echo sessions of this process have sent back. TCP has no messages: what arrived at once counts as one. */
export const traffic = { messages: 0, bytes: 0 };

class Echo extends Session {
  override onReceive(data: Buffer): void {
    traffic.messages++;
    traffic.bytes += data.length;
    // False: the client does not read what it asked for. Until it does, nothing is read from it.
    if (!this.send(data)) this.pause();
  }

  override onDrain(): void {
    this.resume();
  }
}

export interface EchoOptions {
  readonly host: string;
  readonly port: number;
  readonly backend?: BackendName;
}

export interface EchoServer {
  readonly core: IocpCore;
  readonly listener: Listener;
}

/** Serves until `core.stop()`. Rejects with an IocpError: EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOTSUP ... */
export async function startEcho({ host, port, ...options }: EchoOptions): Promise<EchoServer> {
  const core = new IocpCore(options);
  try {
    return { core, listener: await Listener.listen(core, { host, port, session: Echo }) };
  } catch (error) {
    await core.stop();
    throw error;
  }
}
