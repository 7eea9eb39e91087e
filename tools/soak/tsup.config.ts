// What is built: the command, and the programs that it starts.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

const programs = ['cli', 'server', 'client', 'holder', 'forbid-io-uring'];
const entries = Object.fromEntries(programs.map((name) => [name, `src/${name}.ts`]));

export default defineConfig(options(entries));
