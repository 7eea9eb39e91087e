// What is built: the command, and what worker threads load.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(options({ cli: 'src/cli.ts', 'echo-session': 'src/echo-session.ts' }));
