// What is built: the command, and each program, which worker threads load too.
import { defineConfig } from 'tsup';
import { options } from '../../tsup.base.js';

export default defineConfig(
  options({
    cli: 'src/cli.ts',
    accept: 'src/accept.ts',
    blocking: 'src/blocking.ts',
    concurrency: 'src/concurrency.ts',
    end: 'src/end.ts',
    event: 'src/event.ts',
    fifo: 'src/fifo.ts',
    lifo: 'src/lifo.ts',
    pool: 'src/pool.ts',
    receive: 'src/receive.ts',
  }),
);
