// Lab: a page that shows a real port at work, with its queue and its threads, while you move the load and the concurrency value.
import { once } from 'node:events';
import { openLab } from '../lab/lab.js';

const lab = await openLab(Number(process.env.PORT ?? 0));
console.log(`Open ${lab.url} in a browser. Ctrl-C ends it.`);
await once(process, 'SIGINT');
await lab.stop();
