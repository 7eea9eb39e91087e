// The chat server: a core, a module with a class of session, a listener; and a back plane, if it is to be one of several.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { type BackendName, IocpCore, Listener } from '@overlapped/session';
import { share } from './relay.js';

const SESSION = pathToFileURL(createRequire(import.meta.url).resolve('#chat-session'));

export interface ChatOptions {
  readonly host: string;
  readonly port: number;
  readonly backend?: BackendName;
  /** Worker threads. With 0, or where the backend cannot share work between threads, this thread serves. */
  readonly threads: number;
  /** A client that reads nothing of its queue for so many seconds (up to twice as many) is disconnected. */
  readonly patience: number;
  /** The URL of the Redis that joins several servers. */
  readonly redis?: string;
}

export interface ChatServer {
  readonly core: IocpCore;
  readonly listener: Listener;
}

/**
 * Serves until `core.stop()`; one server for each process. Rejects with an IocpError: EADDRINUSE, EADDRNOTAVAIL, EACCES,
 * ENOTSUP ... `report` gets a line when the back plane is joined or lost.
 */
export async function startChat(options: ChatOptions, report: (line: string) => void): Promise<ChatServer> {
  const { host, port, redis, patience, ...rest } = options;
  share({ patience: patience * 1000, spans: redis !== undefined });
  const core = new IocpCore(rest);
  try {
    const listener = await Listener.listen(core, { host, port, module: SESSION });
    if (redis !== undefined) {
      // Redis' client takes longer to load than all the rest.
      const { joinBackPlane } = await import('./back-plane.js');
      joinBackPlane(core, redis, report);
    }
    return { core, listener };
  } catch (error) {
    await core.stop();
    throw error;
  }
}
