// The ideas that the page shows: the settings for each, and a text.

import type { Settings } from '../settings.js';

export interface Idea {
  readonly name: string;
  readonly text: string;
  settings(cores: number): Settings;
}

export const IDEAS: readonly Idea[] = [
  {
    name: 'FIFO queue',
    text: 'One place, and more packets than it can serve. Packets leave the queue in the order in which they came: follow the numbers.',
    settings: () => ({ concurrency: 1, load: 10, work: 250, blocking: 0 }),
  },
  {
    name: 'LIFO threads',
    text: 'A light load. The thread that began to wait last wakes first, so one thread does nearly all the work and its caches stay warm. The others sleep.',
    settings: () => ({ concurrency: 2, load: 5, work: 80, blocking: 0 }),
  },
  {
    name: 'The limit',
    text: 'There are twice as many threads as places. Packets wait, and so do threads: no more threads run at a time than the concurrency value allows.',
    settings: (cores) => ({ concurrency: cores, load: Math.min(40, cores * 6), work: 200, blocking: 0 }),
  },
  {
    name: 'Blocked threads',
    text: 'Most handlers block. A blocked thread gives its place away, and the next thread starts. That is why there are more threads than places.',
    settings: () => ({ concurrency: 2, load: 7, work: 400, blocking: 70 }),
  },
  {
    name: 'Too many at once',
    text: 'More places than cores. The threads share the cores, so each handler takes longer, and no more packets are done in a second.',
    settings: (cores) => ({
      concurrency: Math.min(8, cores * 4),
      load: Math.min(40, cores * 6),
      work: 200,
      blocking: 0,
    }),
  },
];
