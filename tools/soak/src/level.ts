// Whether what a server uses stays level, and a drawing of it.
//
// The rule: the first fifth of the samples is for warming up. The rest is cut in three; the median of the last third is at
// most a tenth above that of the middle third, plus what is allowed for noise.

import type { Sample } from './protocol.js';

/** What is watched, and how much of it is noise. */
const WATCHED = {
  rss: 24 << 20,
  heap: 8 << 20,
  external: 8 << 20,
  descriptors: 40,
  sessions: 40,
  events: 80,
  receiveBuffers: 256,
  sendBuffers: 256,
  bytesQueued: 8 << 20,
  timers: 40,
} satisfies Partial<Record<keyof Sample, number>>;
type Watched = keyof typeof WATCHED;

const FACTOR = 1.1;
const names = Object.keys(WATCHED) as Watched[];

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** What has grown, in words; nothing when all is level. */
export function growth(samples: readonly Sample[]): string[] {
  const warm = samples.slice(Math.ceil(samples.length / 5));
  const third = Math.floor(warm.length / 3);
  if (third === 0) return [`${samples.length} samples are too few to tell`];
  return names.flatMap((name) => {
    const values = warm.map((sample) => sample[name]);
    const middle = median(values.slice(-2 * third, -third));
    const last = median(values.slice(-third));
    const most = middle * FACTOR + WATCHED[name];
    return last > most ? [`${name} grew from ${middle} to ${last}, more than ${Math.round(most)}`] : [];
  });
}

/** What is still out after all peers have gone, compared with a server that nobody has spoken to yet. */
export function leftovers(before: Sample, after: Sample): string[] {
  const slots = [
    'descriptors',
    'sessions',
    'events',
    'receiveBuffers',
    'sendBuffers',
    'bytesQueued',
    'timers',
  ] as const;
  return slots.flatMap((name) =>
    after[name] > before[name] ? [`${name}: ${after[name]} at the end, ${before[name]} at the start`] : [],
  );
}

const WIDTH = 800;
const HEIGHT = 90;

/** One curve below the other, each from 0 to its own maximum. */
export function draw(samples: readonly Sample[]): string {
  const curves = [...names, 'delayP99' as const].map((name, row) => {
    const values = samples.map((sample) => sample[name]);
    const top = Math.max(1, ...values);
    const points = values.map((value, i) => {
      const x = (i / Math.max(1, values.length - 1)) * WIDTH;
      return `${x.toFixed(1)},${(HEIGHT - 20 - (value / top) * (HEIGHT - 40)).toFixed(1)}`;
    });
    return `<g transform="translate(10 ${row * HEIGHT})"><text y="14">${name}: at most ${Math.round(top * 10) / 10}</text>
<polyline points="${points.join(' ')}" fill="none" stroke="steelblue"/></g>`;
  });
  const height = curves.length * HEIGHT;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH + 20}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
${curves.join('\n')}
</svg>
`;
}
