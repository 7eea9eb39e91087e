// One chart on the page, over what the history holds.

import uPlot from 'uplot';
import type { Sample } from '../src/sample.js';
import { swatch, text } from './dom.js';
import { short, timeOfDay } from './format.js';

/** A sample, or null: the server was away. */
export interface Moment {
  /** Seconds since the epoch. */
  readonly at: number;
  readonly sample: Sample | null;
}

export interface Line {
  readonly label: string;
  /** An hsl() without alpha. */
  readonly colour: string;
  /** Nothing when there is nothing to show. */
  readonly value: (sample: Sample) => number | null | undefined;
}

export interface ChartOptions {
  readonly title: string;
  readonly hint: string;
  readonly lines: readonly Line[];
  /** Says what the lines are. */
  readonly legend?: boolean;
  /** Shows powers of ten at equal distances. */
  readonly logarithmic?: boolean;
}

const HEIGHT = 160;
/** The least that the time axis shows, in seconds. */
const SHORTEST = 60;
/** An axis with the powers of ten alone, each with its label. */
const LOGARITHMIC: uPlot.Axis = {
  splits: (_, __, least, most) =>
    Array.from({ length: Math.round(Math.log10(most / least)) + 1 }, (_, i) => least * 10 ** i),
  filter: (_, splits) => splits,
};

export class Chart {
  readonly element = document.createElement('article');
  readonly #lines: readonly Line[];
  readonly #plot: uPlot;
  readonly #resized: ResizeObserver;

  /** Its colours are those of this moment. */
  constructor({ title, hint, lines, legend = false, logarithmic = false }: ChartOptions) {
    this.#lines = lines;
    this.element.className = 'chart';
    const said = text('p', hint);
    if (legend) said.append(...lines.flatMap(key));
    this.element.append(text('h3', title), said);
    this.#plot = new uPlot(options(lines, logarithmic), [[]], this.element);
    this.#resized = new ResizeObserver(([entry]) => {
      if (entry) this.#plot.setSize({ width: Math.floor(entry.contentRect.width), height: HEIGHT });
    });
    this.#resized.observe(this.element);
  }

  show(history: readonly Moment[]): void {
    const column = ({ value }: Line) => history.map(({ sample }) => (sample && value(sample)) ?? null);
    this.#plot.setData([history.map(({ at }) => at), ...this.#lines.map(column)]);
  }

  /** The other lines fade; null brings them back. */
  emphasize(line: number | null): void {
    this.#plot.setSeries(line === null ? null : line + 1, { focus: true });
  }

  remove(): void {
    this.#resized.disconnect();
    this.#plot.destroy();
    this.element.remove();
  }
}

/** What a line is called, after a patch of its colour. */
function key({ label, colour }: Line): HTMLElement[] {
  return [swatch(colour), text('span', label)];
}

function options(lines: readonly Line[], logarithmic: boolean): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const axis: uPlot.Axis = {
    stroke: style.getPropertyValue('--soft'),
    grid: { stroke: style.getPropertyValue('--grid'), width: 1 },
    ticks: { show: false },
    font: `11px ${style.fontFamily}`,
  };
  return {
    width: 400,
    height: HEIGHT,
    series: [{}, ...lines.map((line) => series(line, lines.length === 1))],
    axes: [
      { ...axis, size: 28, space: 70, values: (_, ticks) => ticks.map(timeOfDay) },
      { ...axis, size: 46, values: (_, ticks) => ticks.map(short), ...(logarithmic && LOGARITHMIC) },
    ],
    scales: {
      x: { range: (_, first, last) => [Math.min(first, last - SHORTEST), last] },
      y: logarithmic
        ? { distr: 3, range: (_, least, most) => (least > 0 ? uPlot.rangeLog(least, most, 10, true) : [1, 100]) }
        : { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] },
    },
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, sync: { key: 'monitor' } },
    focus: { alpha: 0.15 },
  };
}

function series({ label, colour }: Line, alone: boolean): uPlot.Series {
  return {
    label,
    stroke: colour,
    width: 1.5,
    points: { show: false },
    ...(alone && { fill: colour.replace(')', ' / 0.14)') }),
  };
}
