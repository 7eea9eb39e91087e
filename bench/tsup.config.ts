// What is built: the commands and the servers that they measure. Nobody imports this package, so it has no types.
import { defineConfig } from 'tsup';
import { options } from '../tsup.base.js';

export default defineConfig(
  options(
    {
      session: 'src/session.ts',
      idle: 'src/idle.ts',
      'servers/overlapped': 'src/servers/overlapped.ts',
      'servers/node-net': 'src/servers/node-net.ts',
    },
    { dts: false },
  ),
);
