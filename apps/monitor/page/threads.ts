// The threads: their names and colours, a line for each in a chart, and the list that says what each one does now.

import type { Sample, ThreadSample } from '../src/sample.js';
import type { Line } from './chart.js';
import { byId, swatch, text } from './dom.js';
import { full, short } from './format.js';

export interface Thread {
  readonly name: string;
  readonly colour: string;
}

/** The core's own thread, then each worker. */
export function threadsOf(workers: number): Thread[] {
  const style = getComputedStyle(document.documentElement);
  const lightness = style.getPropertyValue('--series-lightness');
  // Steps of the golden angle: neighbours differ, however many there are.
  const colour = (i: number) => `hsl(${Math.round(212 + i * 137.5) % 360} 68% ${lightness})`;
  if (workers === 0) return [{ name: 'main', colour: colour(0) }];
  const names = Array.from({ length: workers }, (_, i) => ({ name: `worker ${i}`, colour: colour(i) }));
  return [{ name: 'main', colour: style.getPropertyValue('--main') }, ...names];
}

export function linesOf(threads: readonly Thread[], value: (sample: ThreadSample) => number | null): Line[] {
  return threads.map(({ name, colour }, i) => ({
    label: name,
    colour,
    value: ({ threads: samples }) => samples[i] && value(samples[i]),
  }));
}

export class ThreadList {
  readonly #items: HTMLElement[];

  /** Tells which thread the pointer is on; null when on none. */
  constructor(threads: readonly Thread[], onPoint: (thread: number | null) => void) {
    this.#items = threads.map(({ name, colour }, i) => {
      const item = document.createElement('li');
      item.append(swatch(colour), text('b', name), text('em'), text('span'));
      item.addEventListener('pointerenter', () => onPoint(i));
      item.addEventListener('pointerleave', () => onPoint(null));
      return item;
    });
    byId('threads').replaceChildren(...this.#items);
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
