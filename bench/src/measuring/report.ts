// The figures as text: everyone's median, and for each rival the median of the rounds' ratios with its ends, and the
// target beside.

import { type Sample, type Series, spread } from './rounds.js';

/** What a ratio, ours to theirs, should be: at least or at most this. */
export interface Target {
  readonly kind: '>=' | '<=';
  readonly ratio: number;
}

/** By what a rival is called in its series. Not every rival needs one. */
export type Targets = Readonly<Record<string, Target>>;

export interface Figure {
  readonly name: string;
  readonly of: (sample: Sample) => number;
  readonly targets: Targets;
}

const NAME = 24;
const VALUE = 14;
/** Where a column has the name of a figure. */
const COLUMN = 20;

export const atLeast = (ratio: number): Target => ({ kind: '>=', ratio });
export const atMost = (ratio: number): Target => ({ kind: '<=', ratio });

export function rate(unit: string, targets: Targets = {}): Figure {
  return { name: `${unit}/s`, of: (sample) => sample.rate, targets };
}

export const p50: Figure = { name: 'half within us', of: (sample) => sample.p50!, targets: {} };
export const p99: Figure = { name: '99 % within us', of: (sample) => sample.p99!, targets: {} };
export const switches: Figure = { name: 'switches/message', of: (sample) => sample.switches!, targets: {} };

export function cpu(unit: string, targets: Targets = {}): Figure {
  return { name: `server CPU us/${unit}`, of: (sample) => sample.cpu, targets };
}

/** A table of `figures`, ours first. Each rival has a line for its ratio to each figure. */
export function report(title: string, all: readonly Series[], figures: readonly Figure[]): string {
  const [ours, ...rivals] = all;
  const rows = figures.flatMap(({ name, of, targets }) => {
    const values = all.map(({ samples }) => number(spread(samples.map(of)).median));
    const ratios = rivals.map((rival) => against(rival, ours!, of, targets[rival.by]));
    return ratios.map(
      (ratio, i) =>
        `${
          i === 0
            ? row(`  ${name}`, values)
            : row(
                '',
                all.map(() => ''),
              )
        }   ${ratio}`,
    );
  });
  const busy = all.map(({ samples }) =>
    percent(spread(samples.map(({ clientBusy }) => clientBusy ?? Number.NaN)).median),
  );
  const head = row(
    title,
    all.map(({ by }) => by),
  );
  return [head, ...rows, ...(busy.some((value) => value !== '') ? [row('  client busy', busy)] : [])].join('\n');
}

/** A table with a line for each contender: its medians, and the ratios of its rate and CPU time to those of the last, the rival. */
export function compare(title: string, all: readonly Series[], unit: string): string {
  const rival = all.at(-1)!;
  const ratioOf = (series: Series, of: (sample: Sample) => number) =>
    `x ${spread(series.samples.map((sample, i) => of(sample) / of(rival.samples[i]!))).median.toFixed(2)}`;
  const lines = all.map((series) => {
    const middle = (of: (sample: Sample) => number | undefined) =>
      spread(series.samples.map((sample) => of(sample) ?? Number.NaN)).median;
    const times = [middle(({ p50 }) => p50), middle(({ p99 }) => p99)];
    return row(`  ${series.by}`, [
      number(middle(({ rate }) => rate)),
      ratioOf(series, ({ rate }) => rate),
      number(middle(({ cpu }) => cpu)),
      ratioOf(series, ({ cpu }) => cpu),
      ...times.map((time) => (Number.isNaN(time) ? '' : number(time))),
      percent(middle(({ clientBusy }) => clientBusy)),
    ]);
  });
  return [
    row(title, [`${unit}/s`, '', `CPU us/${unit.replace(/s$/, '')}`, '', 'p50 us', 'p99 us', 'client']),
    ...lines,
  ].join('\n');
}

/** A table with a line for each contender and a column for each figure: the medians. */
export function table(title: string, all: readonly Series[], figures: readonly Figure[]): string {
  const lines = all.map(({ by, samples }) => {
    const values = figures.map(({ of }) => number(spread(samples.map(of)).median));
    return row(`  ${by}`, values, COLUMN);
  });
  const names = figures.map(({ name }) => name.replace('server ', ''));
  return [row(title, names, COLUMN), ...lines].join('\n');
}

function against(rival: Series, ours: Series, of: Figure['of'], target?: Target): string {
  const { median, least, most } = spread(ours.samples.map((sample, round) => of(sample) / of(rival.samples[round]!)));
  return `x ${median.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)}) of ${rival.by}${verdict(median, target)}`;
}

function row(name: string, values: readonly string[], width = VALUE): string {
  return name.padEnd(NAME) + values.map((value) => value.padStart(width)).join('');
}

export function verdict(value: number, target?: Target): string {
  if (!target) return '';
  const met = target.kind === '>=' ? value >= target.ratio : value <= target.ratio;
  return `   target ${target.kind} ${target.ratio}: ${met ? 'met' : 'NOT met'}`;
}

export function number(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 2 : 0 });
}

function percent(value: number): string {
  return Number.isNaN(value) ? '' : `${Math.round(value * 100)} %`;
}
