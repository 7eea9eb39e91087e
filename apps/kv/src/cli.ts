#!/usr/bin/env node
// The command: `kv` serves until a signal.

import { backendOption, command, fail, GRACE, hostAndPort, onSignal, whole } from '@overlapped/support';
import { type KvOptions, startKv } from './server.js';

async function serve(options: KvOptions): Promise<void> {
  const { core, listener } = await startKv(options);
  onSignal(() => void core.stop(GRACE).catch(fail));
  console.log(`kv on ${hostAndPort(listener.endpoint)}, ${core.backend} (SIGINT stops)`);
}

const about = 'A key-value server on completion ports that speaks the protocol of Redis';
await command('kv', about, new URL('../package.json', import.meta.url))
  .option('--port <number>', 'port to listen on; 0 takes a free one', whole(0, 65535), 6379)
  .option('--host <address>', 'IP address to listen on', '127.0.0.1')
  .addOption(backendOption())
  .action(serve)
  .parseAsync()
  .catch(fail);
