#!/usr/bin/env node
// The command: `ledger` serves until a signal.

import { command, fail, GRACE, hostAndPort, onSignal, whole } from '@overlapped/support';
import { type LedgerOptions, startLedger } from './server.js';

async function serve(options: LedgerOptions): Promise<void> {
  const { core, listener } = await startLedger(options);
  onSignal(() => void core.stop(GRACE).catch(fail));
  console.log(`ledger on ${hostAndPort(listener.endpoint)}, ${listener.threads} threads (SIGINT stops)`);
}

await command('ledger', 'A ledger in SQLite on a shared port', new URL('../package.json', import.meta.url))
  .option('--port <number>', 'port to listen on; 0 takes a free one', whole(0, 65535), 7878)
  .option('--host <address>', 'IP address to listen on', '127.0.0.1')
  .option('--file <path>', 'the database', 'ledger.sqlite')
  .option('--concurrency <number>', 'threads that run at a time', whole(1, 64), 2)
  .action(serve)
  .parseAsync()
  .catch(fail);
