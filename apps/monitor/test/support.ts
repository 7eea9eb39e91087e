// Shared by the tests and the picture: a server with the monitor, and clients that keep it busy.

import { connect, type Socket } from 'node:net';
import { candidates } from '@overlapped/iocp-native';
import { IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { startMonitor } from '../src/index.js';

/** Whether a server can have worker threads here. */
export const native = candidates().some(({ name, availability }) => name !== 'portable' && availability.available);

export interface Monitored {
  readonly core: IocpCore;
  /** Of the page. */
  readonly url: string;
  /** Where it echoes. */
  readonly port: number;
}

/** An echo server, in worker threads or, with 0, in this one. `core.stop()` ends all of it. */
export async function startServer(threads: number, module: URL, monitorPort = 0): Promise<Monitored> {
  const core = new IocpCore({ threads, maxSessions: 2000 });
  try {
    const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, module });
    return { core, port: endpoint.port, url: await startMonitor(core, '127.0.0.1', monitorPort, { name: 'echo' }) };
  } catch (error) {
    await core.stop(0);
    throw error;
  }
}

/** A client that sends the received bytes again, after a pause of its choice, until it is destroyed. */
export function startClient(port: number, size: number, pause: () => number): Socket {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const send = () => socket.write(Buffer.alloc(size));
  let received = 0;
  socket.on('connect', send);
  socket.on('data', ({ length }) => {
    received += length;
    if (received < size) return;
    received = 0;
    setTimeout(send, pause());
  });
  // The server may be gone first.
  socket.on('error', () => socket.destroy());
  return socket;
}
