// The entries: the command, and the module of worker threads.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(options({ cli: 'src/cli.ts', 'chat-session': 'src/chat-session.ts' }));
