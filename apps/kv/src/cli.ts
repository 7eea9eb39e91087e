#!/usr/bin/env node
// The command: `kv` serves until a signal.

import { readFileSync } from 'node:fs';
import { type BackendName, candidates } from '@overlapped/iocp-native';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type KvOptions, startKv } from './server.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

/** Stopping waits this long, in milliseconds, for clients that do not read what they are owed. */
const GRACE = 3000;

async function serve(options: KvOptions): Promise<void> {
  const { core, listener } = await startKv(options);
  const { address, family, port } = listener.endpoint;
  const host = family === 6 ? `[${address}]` : address;
  onSignal(() => void core.stop(GRACE).catch(fail));
  console.log(`kv on ${host}:${port}, ${core.backend} (SIGINT stops)`);
}

/** Calls `stop` at the first signal; the second ends the process at once. */
function onSignal(stop: () => void): void {
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      stop();
    });
  }
}

/** What the system says is one line; anything else is a bug, and shows where. */
function fail(error: unknown): void {
  console.error(error instanceof Error && 'syscall' in error ? `error: ${error.message}` : error);
  process.exitCode = 1;
}

function portNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 65535) return value;
  throw new InvalidArgumentError('It must be a whole number from 0 to 65535.');
}

const backends: BackendName[] = candidates().map(({ name }) => name);

await new Command('kv')
  .description('A key-value server on completion ports that speaks the protocol of Redis')
  .version(version)
  .configureOutput({ outputError: (text, write) => write(`${text.trimEnd().replaceAll('\n', ' ')}\n`) })
  .option('--port <number>', 'port to listen on; 0 takes a free one', portNumber, 6379)
  .option('--host <address>', 'IP address to listen on', '127.0.0.1')
  .addOption(
    new Option('--backend <name>', 'what serves the completion port (default: the best there is)').choices(backends),
  )
  .action(serve)
  .parseAsync()
  .catch(fail);
