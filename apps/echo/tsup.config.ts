// What is built: the command. Nobody imports this package, so it has no types.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(options({ cli: 'src/cli.ts' }, { dts: false }));
