// One chart on the page, over the kept samples.

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
  /** An oklch() without alpha, or a colour in hexadecimal. */
  readonly colour: string;
  /** The place in DASHES. Default 0: none. */
  readonly dash?: number;
  /** Nothing when there is nothing to show. */
  readonly value: (sample: Sample) => number | null | undefined;
}

export interface ChartOptions {
  readonly title: string;
  readonly hint: string;
  readonly lines: readonly Line[];
  /** Shows powers of ten at equal distances. */
  readonly logarithmic?: boolean;
}

const HEIGHT = 160;
/** The least that the time axis shows, in seconds. */
const SHORTEST = 60;
/** Lines that a chart names in its key. Of more it names the one that is nearest to the pointer. */
const NAMED = 6;
/** Pixels within which a line is near the pointer. */
const NEAR = 24;
/** Lengths of dashes and gaps, in pixels. */
export const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3]];
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
  /** The values under the pointer, or the last ones. */
  readonly #key: HTMLElement;
  readonly #values: readonly HTMLElement[];
  #near: number | null = null;
  readonly #resized: ResizeObserver;

  /** Its colours are those of this moment. */
  constructor({ title, hint, lines, logarithmic = false }: ChartOptions) {
    this.#lines = lines;
    this.element.className = 'chart';
    this.element.role = 'group';
    this.element.ariaLabel = `${title}: ${hint}`;
    this.#values = lines.map(() => text('b'));
    this.#key = text('p', '');
    this.#key.className = 'key';
    this.element.append(text('h3', title), text('p', hint), this.#key);
    this.#plot = new uPlot(
      options(lines, logarithmic, {
        moved: () => this.#showValues(),
        near: (line) => {
          this.#near = line;
          this.#showValues();
        },
      }),
      [[]],
      this.element,
    );
    this.#resized = new ResizeObserver(([entry]) => {
      if (entry) this.#plot.setSize({ width: Math.floor(entry.contentRect.width), height: HEIGHT });
    });
    this.#resized.observe(this.element);
  }

  show(history: readonly Moment[]): void {
    const column = ({ value }: Line) => history.map(({ sample }) => (sample && value(sample)) ?? null);
    this.#plot.setData([history.map(({ at }) => at), ...this.#lines.map(column)]);
    this.#showValues();
  }

  /** The other lines fade; null brings them back. */
  emphasize(line: number | null): void {
    this.#plot.setSeries(line === null ? null : line + 1, { focus: true });
  }

  /** The values under the pointer, else the last ones. Of many lines only the nearest. */
  #showValues(): void {
    const { cursor, data } = this.#plot;
    const index = cursor.idx ?? (data[0]?.length ?? 0) - 1;
    const at = data[0]?.[index];
    const time = cursor.idx == null || at === undefined ? [] : [text('time', timeOfDay(at))];
    const value = (line: number) => {
      const each = data[line + 1]?.[index];
      this.#values[line]!.textContent = each == null ? '–' : short(each);
      const { label, colour, dash } = this.#lines[line]!;
      const item = text('span', label);
      item.prepend(swatch(colour, dash));
      item.append(' ', this.#values[line]!);
      return item;
    };
    const many = this.#lines.length > NAMED;
    const near = this.#near;
    const shown = many ? (near === null ? [] : [near]) : this.#lines.keys();
    const items = [...shown].map(value);
    if (many && near === null) items.push(text('span', 'point at a line, or choose a thread below'));
    this.#key.replaceChildren(...time, ...items);
  }

  remove(): void {
    this.#resized.disconnect();
    this.#plot.destroy();
    this.element.remove();
  }
}

interface Pointing {
  /** The pointer is elsewhere now. */
  moved(): void;
  /** A line stands out; null for none. */
  near(line: number | null): void;
}

function options(lines: readonly Line[], logarithmic: boolean, { moved, near }: Pointing): uPlot.Options {
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
    cursor: { drag: { x: false, y: false }, sync: { key: 'monitor' }, focus: { prox: lines.length > 1 ? NEAR : -1 } },
    hooks: {
      setCursor: [moved],
      setSeries: [(_, series, options) => 'focus' in options && near(series === null ? null : series - 1)],
    },
    focus: { alpha: 0.15 },
  };
}

function series({ label, colour, dash = 0 }: Line, alone: boolean): uPlot.Series {
  return {
    label,
    stroke: colour,
    width: 1.5,
    dash: [...DASHES[dash]!],
    points: { show: false },
    ...(alone && { fill: colour.replace(')', ' / 0.14)') }),
  };
}
