// The view of one port: the queue, the places, a lane for each thread, and figures.

import type { Greeting } from '../messages.js';
import { byId, show, text } from './dom.js';
import type { Model } from './model.js';
import { type Colours, coloursNow, Timeline } from './timeline.js';

/** Chips that the queue shows. The rest is a number. */
const CHIPS = 24;

interface Lane {
  readonly item: HTMLElement;
  readonly state: HTMLElement;
  readonly served: HTMLElement;
  readonly next: HTMLElement;
  readonly timeline: Timeline;
}

export class View {
  readonly #model: Model;
  readonly #concurrency: number;
  readonly #lanes: readonly Lane[];
  readonly #places: readonly HTMLElement[];
  readonly #resized: ResizeObserver;
  #colours: Colours = coloursNow();

  constructor({ settings, threads }: Greeting, model: Model) {
    this.#model = model;
    this.#concurrency = settings.concurrency;
    this.#lanes = Array.from({ length: threads }, (_, i) => lane(i));
    byId('threads').replaceChildren(...this.#lanes.map(({ item }) => item));
    this.#places = Array.from({ length: threads }, () => text('li', '', 'place'));
    byId('places').replaceChildren(...this.#places);
    byId('queue').replaceChildren();
    this.#resized = new ResizeObserver(() => {
      for (const { timeline } of this.#lanes) timeline.fit();
    });
    this.#resized.observe(byId('threads'));
  }

  /** Colours change with the system's. */
  recolour(): void {
    this.#colours = coloursNow();
  }

  /** @param now the time to show, by the server's clock, in milliseconds */
  draw(now: number): void {
    const model = this.#model;
    const { next } = model;
    for (const [i, thread] of model.threads.entries()) {
      const { item, state, served, next: mark, timeline } = this.#lanes[i]!;
      item.dataset.state = thread.state;
      show(state, thread.packet === undefined ? thread.state : `${thread.state} · ${thread.packet.request}`);
      show(served, String(thread.served));
      mark.hidden = thread !== next;
      timeline.draw(thread.spans, now, this.#colours);
    }
    this.#drawQueue();
    this.#drawPlaces();
    this.#drawFigures();
  }

  remove(): void {
    this.#resized.disconnect();
  }

  #drawQueue(): void {
    const { queue } = this.#model;
    const list = byId('queue');
    const shown = new Map(Array.from(list.children, (chip) => [(chip as HTMLElement).dataset.request, chip]));
    const wanted = queue.slice(0, CHIPS);
    const names = new Set(wanted.map(({ request }) => String(request)));
    for (const [name, chip] of shown) if (!names.has(name!)) chip.remove();
    for (const { request, blocking } of wanted) {
      if (shown.has(String(request))) continue;
      const chip = text('li', String(request), blocking ? 'chip blocking' : 'chip');
      chip.dataset.request = String(request);
      if (blocking) chip.append(text('span', ', its handler blocks', 'unseen'));
      list.append(chip);
    }
    show(byId('more'), queue.length > CHIPS ? `and ${queue.length - CHIPS} more` : '');
    byId('empty').hidden = queue.length > 0;
  }

  /** A box for each place, and one more for each thread that runs beyond the limit. */
  #drawPlaces(): void {
    const running = this.#model.threads.flatMap(({ state }, i) => (state === 'running' ? [i] : []));
    for (const [i, place] of this.#places.entries()) {
      const thread = running[i];
      place.hidden = i >= Math.max(this.#concurrency, running.length);
      place.classList.toggle('taken', thread !== undefined);
      place.classList.toggle('beyond', i >= this.#concurrency);
      show(place, thread === undefined ? 'free' : `thread ${thread + 1}`);
    }
    byId('beyond').hidden = running.length <= this.#concurrency;
  }

  #drawFigures(): void {
    const model = this.#model;
    for (const state of ['running', 'blocked', 'waiting'] as const)
      show(byId(`count-${state}`), String(model.count(state)));
    show(byId('count-queued'), String(model.queue.length));
    show(byId('queue-time'), milliseconds(model.queueTime));
    show(byId('handler-time'), milliseconds(model.handlerTime));
  }
}

function lane(index: number): Lane {
  const name = `Thread ${index + 1}`;
  const item = text('li', '', 'lane');
  const state = text('span', '', 'state');
  const served = text('span', '0', 'served');
  const next = text('span', 'wakes next', 'next');
  next.hidden = true;
  const timeline = new Timeline(`The last seconds of ${name.toLowerCase()}`);
  const count = text('p', '', 'count');
  count.append(served, text('span', ' done', 'soft'));
  const head = text('div', '', 'head');
  head.append(text('b', name), state, next);
  item.append(head, timeline.element, count);
  return { item, state, served, next, timeline };
}

/** Short: 4.2 ms, 42 ms, 4.2 s. */
function milliseconds(value: number | undefined): string {
  if (value === undefined) return '–';
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
