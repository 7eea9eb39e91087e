#!/usr/bin/env node
// The command: `chat serve` (or just `chat`) runs the server, `chat join` is a client.

import { readFileSync } from 'node:fs';
import { type BackendName, candidates } from '@overlapped/iocp-native';
import { Command, InvalidArgumentError, Option } from 'commander';
import { join } from './client.js';
import { isName } from './protocol.js';
import { type ChatOptions, startChat } from './server.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

/** Stopping waits this long, in milliseconds, for clients that do not read what they are owed. */
const GRACE = 3000;

async function serve(options: ChatOptions): Promise<void> {
  const { core, listener } = await startChat(options, console.log);
  const { address, family, port } = listener.endpoint;
  onSignal(() => core.stop(GRACE).catch(fail));
  const threads = core.threads === 0 ? 'main thread' : `${core.threads} worker threads`;
  console.log(`chat on ${family === 6 ? `[${address}]` : address}:${port}, ${core.backend}, ${threads} (SIGINT stops)`);
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
  const expected = error instanceof Error && 'syscall' in error;
  console.error(expected ? `error: ${error.message}` : error);
  process.exitCode = 1;
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

function backendOption(): Option {
  const names: BackendName[] = candidates().map(({ name }) => name);
  return new Option('--backend <name>', 'what serves the completion port (default: the best there is)').choices(names);
}

function name(text: string): string {
  if (isName(text)) return text;
  throw new InvalidArgumentError('It must have 1 to 32 letters, digits, or any of _.-');
}

function redisUrl(text: string): string {
  if (URL.canParse(text) && /^rediss?:/.test(text)) return text;
  throw new InvalidArgumentError('It must be like redis://127.0.0.1:6379.');
}

const program = new Command('chat')
  .description('Chat rooms on completion ports, on one server or on several that share a Redis')
  .version(version)
  .addHelpText('after', '\nWithout a command the options are those of serve: chat --port 9000 (see: chat help serve)')
  .configureOutput({ outputError: (text, write) => write(`${text.trimEnd().replaceAll('\n', ' ')}\n`) });

program
  .command('serve', { isDefault: true })
  .description('serve rooms, until a signal')
  .option('--port <number>', 'port to listen on; 0 takes a free one', whole(0, 65535), 7788)
  .option('--host <address>', 'IP address to listen on', '127.0.0.1')
  .option('--threads <number>', 'worker threads that serve; 0: the main thread does', whole(0, 256), 0)
  .option('--patience <seconds>', 'cut off clients that take nothing for so long', whole(1, 3600), 30)
  .option('--redis <url>', 'join other servers through this Redis', redisUrl)
  .addOption(backendOption())
  .action(serve);

program
  .command('join')
  .description('say what is typed in a room, and show what is said there')
  .argument('<room>', 'name of the room', name)
  .option('--name <name>', 'who says it', name, 'guest')
  .option('--host <address>', 'name or address of the server', '127.0.0.1')
  .option('--port <number>', 'its port', whole(1, 65535), 7788)
  .addOption(backendOption())
  .action(join);

await program.parseAsync().catch(fail);
