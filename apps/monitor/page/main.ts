// The page: listens to the server's samples, keeps those of the last minutes, and shows them. When the server is gone the
// browser asks for it again and again; the page goes on where it was.

import type { Greeting, Sample } from '../src/sample.js';
import type { Moment } from './chart.js';
import { byId } from './dom.js';
import { View } from './view.js';

/** Five minutes, of a sample a second. */
const KEPT = 300;

const history: Moment[] = [];
let server: Greeting | undefined;
let view: View | undefined;

function greet(greeting: Greeting): void {
  const { name, backend, workers, jobThreads, pid, version } = greeting;
  document.title = `${name} ${location.host}`;
  byId('name').textContent = name;
  byId('server').textContent = `${backend}, ${count(workers)}, process ${pid}, Node.js ${version}`;
  setStatus('live');
  const last = history.at(-1);
  if (workers !== server?.workers || jobThreads !== server.jobThreads) history.length = 0;
  else if (last) keep({ at: last.at + 0.001, sample: null });
  server = greeting;
  if (history.length === 0) renew();
}

function show(sample: Sample): void {
  keep({ at: sample.at, sample });
  view?.show(history);
}

function keep(moment: Moment): void {
  history.push(moment);
  if (history.length > KEPT) history.shift();
}

/** Charts take their colours when they are made. */
function renew(): void {
  if (!server) return;
  view?.remove();
  view = new View(server);
  view.show(history);
}

function count(workers: number): string {
  if (workers === 0) return 'main thread';
  return workers === 1 ? '1 worker thread' : `${workers} worker threads`;
}

function setStatus(state: 'live' | 'waiting'): void {
  const status = byId('status');
  status.dataset.state = state;
  status.textContent = state === 'live' ? 'live' : 'waiting for the server';
  // The figures are the last ones: they are faded until the server is back.
  document.body.classList.toggle('stale', state === 'waiting');
}

const stats = new EventSource('/stats');
stats.addEventListener('greeting', ({ data }) => greet(JSON.parse(data)));
stats.addEventListener('message', ({ data }) => show(JSON.parse(data)));
stats.addEventListener('error', () => setStatus('waiting'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', renew);
