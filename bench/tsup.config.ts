// What is built: the commands and the servers that they measure.
import { defineConfig } from 'tsup';
import { options } from '../tsup.base.js';

export default defineConfig(
  options(
    {
      'commands/session': 'src/commands/session.ts',
      'commands/sizes': 'src/commands/sizes.ts',
      'commands/tls': 'src/commands/tls.ts',
      'commands/http': 'src/commands/http.ts',
      'load/cannon-process': 'src/load/cannon-process.ts',
      'commands/idle': 'src/commands/idle.ts',
      'commands/dedicated': 'src/commands/dedicated.ts',
      'commands/broadcast': 'src/commands/broadcast.ts',
      'commands/threads': 'src/commands/threads.ts',
      'commands/blocking': 'src/commands/blocking.ts',
      'commands/shared': 'src/commands/shared.ts',
      'commands/concurrency': 'src/commands/concurrency.ts',
      'commands/jobs': 'src/commands/jobs.ts',
      'commands/kv': 'src/commands/kv.ts',
      'commands/life': 'src/commands/life.ts',
      'commands/starts': 'src/commands/starts.ts',
      'commands/udp': 'src/commands/udp.ts',
      'jobs/work': 'src/jobs/work.ts',
      'servers/overlapped': 'src/servers/overlapped.ts',
      'servers/duplex': 'src/servers/duplex.ts',
      'servers/node-net': 'src/servers/node-net.ts',
      'servers/datagrams': 'src/servers/datagrams.ts',
      'servers/node-dgram': 'src/servers/node-dgram.ts',
      'servers/http-sessions': 'src/servers/http-sessions.ts',
      'servers/http-net': 'src/servers/http-net.ts',
      'servers/tls-sessions': 'src/servers/tls-sessions.ts',
      'servers/tls-net': 'src/servers/tls-net.ts',
      'servers/dedicated': 'src/servers/dedicated.ts',
      'servers/shared': 'src/servers/shared.ts',
      'servers/shared-session': 'src/servers/shared-session.ts',
      'servers/echo-session': 'src/servers/echo-session.ts',
      'servers/pour-session': 'src/servers/pour-session.ts',
      'servers/sink-session': 'src/servers/sink-session.ts',
      'servers/burn-session': 'src/servers/burn-session.ts',
      'servers/life-session': 'src/servers/life-session.ts',
    },
    // Programs of others are not bundled: some find their own workers by where they lie.
    { external: ['autocannon', 'piscina', 'selfsigned', 'tinypool'] },
  ),
);
