// The figures as text: each rival's median, the median of the rounds' ratios with its ends, and the target beside.

import { type Sample, type Series, spread } from './rounds.js';

/** What a ratio, ours to theirs, should be: at least or at most this. */
export interface Target {
  readonly kind: '>=' | '<=';
  readonly ratio: number;
}

export interface Figure {
  readonly name: string;
  readonly of: (sample: Sample) => number;
  readonly target?: Target;
}

const NAME = 24;
const VALUE = 12;

export function rate(unit: string, target?: Target): Figure {
  return { name: `${unit}/s`, of: (sample) => sample.rate, ...(target && { target }) };
}

export function cpu(unit: string, target?: Target): Figure {
  return { name: `server CPU us/${unit}`, of: (sample) => sample.cpu, ...(target && { target }) };
}

/** A table of `figures`, ours first. */
export function report(title: string, [ours, theirs]: readonly Series[], figures: readonly Figure[]): string {
  const head = title.padEnd(NAME) + ours!.by.padStart(VALUE) + theirs!.by.padStart(VALUE);
  const rows = figures.map((figure) => {
    const us = ours!.samples.map(figure.of);
    const them = theirs!.samples.map(figure.of);
    const ratios = spread(us.map((value, round) => value / them[round]!));
    const name = `  ${figure.name}`.padEnd(NAME);
    const values = [us, them].map((all) => number(spread(all).median).padStart(VALUE)).join('');
    const ratio = `x ${ratios.median.toFixed(2)} (${ratios.least.toFixed(2)} to ${ratios.most.toFixed(2)})`;
    return `${name}${values}   ${ratio}${verdict(ratios.median, figure.target)}`;
  });
  const busy = [ours, theirs].map((series) => series!.samples.map(({ clientBusy }) => clientBusy ?? Number.NaN));
  const limits = busy.map((all) => percent(spread(all).median).padStart(VALUE)).join('');
  return [head, ...rows, ...(limits.includes('%') ? ['  client busy'.padEnd(NAME) + limits] : [])].join('\n');
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
