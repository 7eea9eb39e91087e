// What is built: the command, and the programs that it starts.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(
  options({
    cli: 'src/cli.ts',
    server: 'src/server.ts',
    'shared-echo': 'src/shared-echo.ts',
    client: 'src/client.ts',
    holder: 'src/holder.ts',
    'forbid-io-uring': 'src/forbid-io-uring.ts',
  }),
);
