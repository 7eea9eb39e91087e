// The entries: the command, the server, which the tests load, and the session, which the threads of the shared port load.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(options({ cli: 'src/cli.ts', server: 'src/server.ts', session: 'src/session.ts' }));
