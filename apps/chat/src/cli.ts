#!/usr/bin/env node
// The command: `chat serve` (or just `chat`) runs the server, `chat join` is a client.

import { backendOption, command, fail, GRACE, hostAndPort, onSignal, whole } from '@overlapped/support';
import { InvalidArgumentError } from 'commander';
import { join } from './client.js';
import { isName } from './protocol.js';
import { type ChatOptions, startChat } from './server.js';

async function serve(options: ChatOptions): Promise<void> {
  const { core, listener } = await startChat(options, console.log);
  onSignal(() => void core.stop(GRACE).catch(fail));
  const threads = core.threads === 0 ? 'main thread' : `${core.threads} worker threads`;
  console.log(`chat on ${hostAndPort(listener.endpoint)}, ${core.backend}, ${threads} (SIGINT stops)`);
}

function name(text: string): string {
  if (isName(text)) return text;
  throw new InvalidArgumentError('It must have 1 to 32 letters, digits, or any of _.-');
}

function redisUrl(text: string): string {
  if (URL.canParse(text) && /^rediss?:/.test(text)) return text;
  throw new InvalidArgumentError('It must be like redis://127.0.0.1:6379.');
}

const about = 'Chat rooms on completion ports, on one server or on several that share a Redis';
const program = command('chat', about, new URL('../package.json', import.meta.url)).addHelpText(
  'after',
  '\nWithout a command the options are those of serve: chat --port 9000 (see: chat help serve)',
);

program
  .command('serve', { isDefault: true })
  .description('serve rooms, until a signal')
  .option('--port <number>', 'port to listen on; 0 takes a free one', whole(0, 65535), 7788)
  .option('--host <address>', 'IP address to listen on', '127.0.0.1')
  .option('--threads <number>', 'worker threads that serve; 0: the main thread does', whole(0, 256), 0)
  .option('--patience <seconds>', 'disconnect clients that read nothing for so long', whole(1, 3600), 30)
  .option('--redis <url>', 'join other servers through this Redis', redisUrl)
  .addOption(backendOption())
  .action(serve);

program
  .command('join')
  .description('say each typed line in a room, and show the texts of the room')
  .argument('<room>', 'name of the room', name)
  .option('--name <name>', 'your name', name, 'guest')
  .option('--host <address>', 'name or address of the server', '127.0.0.1')
  .option('--port <number>', 'its port', whole(1, 65535), 7788)
  .addOption(backendOption())
  .action(join);

await program.parseAsync().catch(fail);
