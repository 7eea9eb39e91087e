// The entries: the command, each program, which worker threads load too, and the lab with its page.
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
    lab: 'src/lab.ts',
    'lab-session': 'lab/session.ts',
    lifo: 'src/lifo.ts',
    'page/main': 'lab/page/main.ts',
    pool: 'src/pool.ts',
    receive: 'src/receive.ts',
    workers: 'src/workers.ts',
  }),
);
