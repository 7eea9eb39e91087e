// The server: a core whose pump has the main thread to itself, a listener, and the timer of the store's sweeps.

import { type BackendName, candidates, IocpCore, Listener, Timer } from '@overlapped/session';
import { Kv } from './kv.js';
import { sessionsOf } from './session.js';

export interface KvOptions {
  readonly host: string;
  readonly port: number;
  readonly backend?: BackendName;
}

export interface KvServer {
  readonly core: IocpCore;
  readonly listener: Listener;
}

/** Serves until `core.stop()`. Rejects with an IocpError: EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOTSUP ... */
export async function startKv({ host, port, backend }: KvOptions): Promise<KvServer> {
  const core = new IocpCore({ threads: 0, dedicated: canWait(backend), ...(backend && { backend }) });
  try {
    const sweep = new Timer(() => kv.store.sweep());
    const kv = new Kv((delay) => core.timers.set(sweep, delay));
    return { core, listener: await Listener.listen(core, { host, port, session: sessionsOf(kv, core) }) };
  } catch (error) {
    await core.stop();
    throw error;
  }
}

/** Whether the backend that will serve has a port of the kernel's, in which a thread can wait. */
function canWait(wanted?: BackendName): boolean {
  const name = wanted ?? process.env.OVERLAPPED_BACKEND;
  return candidates().some(
    (each) => each.name !== 'portable' && each.availability.available && (!name || each.name === name),
  );
}
