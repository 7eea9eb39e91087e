// The threads: their names and colours, a line for each in a chart, and the list of their present statistics.

import type { Sample, ThreadSample } from '../src/sample.js';
import { DASHES, type Line } from './chart.js';
import { byId, swatch, text } from './dom.js';
import { full, short } from './format.js';

export interface Thread {
  readonly name: string;
  readonly colour: string;
  /** The place in DASHES: colours of many threads are alike. */
  readonly dash: number;
}

/** Threads whose lines have the same dashes. */
const ALIKE = 8;

/** The core's own thread, then each worker. */
export function threadsOf(workers: number): Thread[] {
  const style = getComputedStyle(document.documentElement);
  if (workers === 0) return seriesOf(1, () => 'main');
  const main = { name: 'main', colour: style.getPropertyValue('--main'), dash: 0 };
  return [main, ...seriesOf(workers, (i) => `worker ${i}`)];
}

/** So many lines that differ. In oklch() all hues are as light, so each has the same contrast. */
export function seriesOf(count: number, nameOf: (index: number) => string): Thread[] {
  const lightness = getComputedStyle(document.documentElement).getPropertyValue('--series-lightness');
  return Array.from({ length: count }, (_, i) => ({
    name: nameOf(i),
    // Steps of the golden angle: neighbours differ, however many there are.
    colour: `oklch(${lightness} 0.15 ${Math.round(255 + i * 137.5) % 360})`,
    dash: Math.floor(i / ALIKE) % DASHES.length,
  }));
}

export function linesOf(threads: readonly Thread[], value: (sample: ThreadSample) => number | null): Line[] {
  return threads.map(({ name, colour, dash }, i) => ({
    label: name,
    colour,
    dash,
    value: ({ threads: samples }) => samples[i] && value(samples[i]),
  }));
}

export class ThreadList {
  readonly #items: HTMLElement[];
  readonly #onPoint: (thread: number | null) => void;
  /** The thread whose button is pressed. */
  #chosen: number | null = null;

  /**
   * Tells which thread's lines are to stand out: the one that the pointer or the focus is on, else the one whose button is
   * pressed; null for none.
   */
  constructor(threads: readonly Thread[], onPoint: (thread: number | null) => void) {
    this.#onPoint = onPoint;
    this.#items = threads.map(({ name, colour, dash }, i) => {
      const item = document.createElement('li');
      const button = document.createElement('button');
      button.type = 'button';
      button.ariaPressed = 'false';
      button.append(swatch(colour, dash), text('b', name), text('em'), text('span'));
      button.addEventListener('pointerenter', () => onPoint(i));
      button.addEventListener('pointerleave', () => onPoint(this.#chosen));
      button.addEventListener('focus', () => onPoint(i));
      button.addEventListener('blur', () => onPoint(this.#chosen));
      button.addEventListener('click', () => this.#choose(this.#chosen === i ? null : i));
      item.append(button);
      return item;
    });
    byId('threads').replaceChildren(...this.#items);
  }

  #choose(thread: number | null): void {
    this.#chosen = thread;
    for (const [i, item] of this.#items.entries()) item.querySelector('button')!.ariaPressed = String(i === thread);
    this.#onPoint(thread);
  }

  show({ threads }: Sample): void {
    for (const [i, item] of this.#items.entries()) {
      const thread = threads[i];
      if (thread === undefined) continue;
      item.querySelector('em')!.textContent = full(thread.connections);
      item.querySelector('span')!.textContent = `${short(thread.packets)} packets/s`;
    }
  }
}
