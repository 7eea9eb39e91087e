// What is built: the commands and the servers that they measure.
import { defineConfig } from 'tsup';
import { options } from '../tsup.base.js';

export default defineConfig(
  options(
    {
      session: 'src/session.ts',
      http: 'src/http.ts',
      'cannon-process': 'src/cannon-process.ts',
      idle: 'src/idle.ts',
      dedicated: 'src/dedicated.ts',
      broadcast: 'src/broadcast.ts',
      threads: 'src/threads.ts',
      jobs: 'src/jobs.ts',
      kv: 'src/kv.ts',
      life: 'src/life.ts',
      starts: 'src/starts.ts',
      udp: 'src/udp.ts',
      work: 'src/work.ts',
      'servers/overlapped': 'src/servers/overlapped.ts',
      'servers/node-net': 'src/servers/node-net.ts',
      'servers/datagrams': 'src/servers/datagrams.ts',
      'servers/node-dgram': 'src/servers/node-dgram.ts',
      'servers/http-sessions': 'src/servers/http-sessions.ts',
      'servers/http-net': 'src/servers/http-net.ts',
      'servers/dedicated': 'src/servers/dedicated.ts',
      'servers/echo-session': 'src/servers/echo-session.ts',
      'servers/burn-session': 'src/servers/burn-session.ts',
      'servers/life-session': 'src/servers/life-session.ts',
    },
    // They find their own workers by where they lie.
    { external: ['autocannon', 'piscina', 'tinypool'] },
  ),
);
