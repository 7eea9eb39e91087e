// The entries: the command, and the server without its transport, for the bench to put on another one.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(options({ cli: 'src/cli.ts', engine: 'src/engine.ts' }));
