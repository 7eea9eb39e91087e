// The page: receives the happenings of the port, and shows each a moment later, so that it moves evenly.

import type { Greeting, Happening, News } from '../messages.js';
import { Controls } from './controls.js';
import { byId } from './dom.js';
import { Model } from './model.js';
import { View } from './view.js';

/** Milliseconds that the page is behind: more than the time between two messages. */
const DELAY = 150;
/** Milliseconds between two pictures for readers who ask for less motion. */
const CALM = 1000;

const controls = new Controls();
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const due: Happening[] = [];
let model: Model | undefined;
let view: View | undefined;
/** The server's clock minus this page's, in milliseconds. */
let offset = Number.NEGATIVE_INFINITY;
let drawn = 0;

function greet(greeting: Greeting): void {
  const { backend, cores, threads, settings } = greeting;
  byId('server').textContent = `${backend}, ${cores} cores, ${threads} threads`;
  setStatus('live');
  controls.take(settings, cores);
  view?.remove();
  due.length = 0;
  offset = Number.NEGATIVE_INFINITY;
  model = new Model(threads);
  view = new View(greeting, model);
}

function take({ now, happenings }: News): void {
  // The message that took the least time tells the clocks' difference best.
  offset = Math.max(offset, now - performance.now());
  due.push(...happenings);
}

function draw(): void {
  requestAnimationFrame(draw);
  if (model === undefined || view === undefined) return;
  const now = performance.now() + offset - DELAY;
  while (due.length > 0 && due[0]![0] <= now) model.apply(due.shift()!);
  if (calm.matches && performance.now() - drawn < CALM) return;
  drawn = performance.now();
  view.draw(now);
}

const STATUS = { live: 'live', opening: 'opening the port', waiting: 'waiting for the server' };

function setStatus(state: keyof typeof STATUS): void {
  const status = byId('status');
  status.dataset.state = state;
  status.textContent = STATUS[state];
  document.body.classList.toggle('stale', state !== 'live');
}

const happenings = new EventSource('/happenings');
happenings.addEventListener('greeting', ({ data }) => greet(JSON.parse(data)));
happenings.addEventListener('opening', () => setStatus('opening'));
happenings.addEventListener('message', ({ data }) => take(JSON.parse(data)));
happenings.addEventListener('error', () => setStatus('waiting'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => view?.recolour());
requestAnimationFrame(draw);
