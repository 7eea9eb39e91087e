// The server: a core with a shared port, and a listener whose sessions any of its threads serve.

import { setEnvironmentData } from 'node:worker_threads';
import { IocpCore, Listener } from '@overlapped/session';
import { FILE, Ledger } from './ledger.js';

export interface LedgerOptions {
  readonly host: string;
  readonly port: number;
  /** The path of the database, which is made if it is not there. */
  readonly file: string;
  /** Threads that run at a time. There are twice as many. */
  readonly concurrency: number;
}

export interface LedgerServer {
  readonly core: IocpCore;
  readonly listener: Listener;
}

/** Serves until `core.stop()`. Rejects with an IocpError of the listener, or with an error of SQLite. */
export async function startLedger({ host, port, file, concurrency }: LedgerOptions): Promise<LedgerServer> {
  new Ledger(file).close();
  // The threads open the file themselves: a connection to a database belongs to one thread.
  setEnvironmentData(FILE, file);
  const core = new IocpCore({ concurrency });
  try {
    const shared = new URL('./session.js', import.meta.url);
    return { core, listener: await Listener.listen(core, { host, port, shared }) };
  } catch (error) {
    await core.stop();
    throw error;
  }
}
