// The view of one server: its charts, its threads, and the figures of this moment.

import type { Greeting, Sample } from '../src/sample.js';
import { Chart, type Line, type Moment } from './chart.js';
import { byId, setFigure } from './dom.js';
import { bytes, full, short } from './format.js';
import { linesOf, seriesOf, ThreadList, threadsOf } from './threads.js';

export class View {
  readonly #byThread: readonly Chart[];
  readonly #charts: readonly Chart[];
  readonly #threads: ThreadList;

  constructor({ workers, jobThreads }: Greeting) {
    const threads = threadsOf(workers);
    this.#byThread = [
      new Chart({ title: 'Connections', hint: 'open, by thread', lines: linesOf(threads, (t) => t.connections) }),
      new Chart({
        title: 'Packets a second',
        hint: 'completions, by thread',
        lines: linesOf(threads, (t) => t.packets),
      }),
      new Chart({
        title: 'Packets for each wake-up',
        hint: 'how many one look at the port brings, by thread',
        lines: linesOf(threads, (t) => t.batch),
      }),
      new Chart({
        title: 'Dispatch time for each wake-up, µs',
        hint: 'how long the last of a batch waits for the others, by thread',
        lines: linesOf(threads, (t) => t.dispatch),
        logarithmic: true,
      }),
    ];
    this.#charts = [
      ...this.#byThread,
      new Chart({
        title: 'Event-loop delay, ms',
        hint: 'main thread',
        lines: coloured(
          ['p50', ({ loop }) => loop?.p50],
          ['p99', ({ loop }) => loop?.p99],
          ['max', ({ loop }) => loop?.max],
        ),
      }),
      new Chart({
        title: 'Pools',
        hint: 'in use; a listener starts up to 256 accepts beforehand, each with an event',
        lines: coloured(
          ['events', ({ pools }) => pools.events],
          ['receive buffers', ({ pools }) => pools.receiveBuffers],
          ['send buffers', ({ pools }) => pools.sendBuffers],
          ['timers', ({ pools }) => pools.timers],
          ['slots', ({ pools }) => pools.slots],
        ),
      }),
      ...(jobThreads > 0 ? jobCharts(jobThreads) : []),
    ];
    byId('charts').replaceChildren(...this.#charts.map(({ element }) => element));
    this.#threads = new ThreadList(threads, (thread) => {
      for (const chart of this.#byThread) chart.emphasize(thread);
    });
  }

  show(history: readonly Moment[]): void {
    for (const chart of this.#charts) chart.show(history);
    const sample = history.at(-1)?.sample;
    if (!sample) return;
    this.#threads.show(sample);
    showFigures(sample);
  }

  remove(): void {
    for (const chart of this.#charts) chart.remove();
  }
}

/** The queue of a pool of jobs, and its threads: which of them wake shows LIFO, how many run shows the limit. */
function jobCharts(threads: number): Chart[] {
  const wakeUps = seriesOf(threads, (i) => `thread ${i}`).map(({ name, ...look }, i) => ({
    label: name,
    ...look,
    value: ({ jobs }: Sample) => jobs?.wakeUps[i],
  }));
  return [
    new Chart({
      title: 'Jobs',
      hint: 'in the queue, under way, and done in a second',
      lines: coloured(
        ['queued', ({ jobs }) => jobs?.queued],
        ['running', ({ jobs }) => jobs?.running],
        ['done', ({ jobs }) => jobs?.done],
      ),
    }),
    new Chart({ title: 'Wake-ups of job threads a second', hint: 'the last to wait wakes first', lines: wakeUps }),
  ];
}

function coloured(...lines: readonly (readonly [label: string, value: Line['value']])[]): Line[] {
  const series = seriesOf(lines.length, (i) => lines[i]![0]);
  return lines.map(([label, value], i) => ({ label, value, colour: series[i]!.colour }));
}

function showFigures({ total, loop, bytesQueued, troubles }: Sample): void {
  setFigure('connections', full(total.connections));
  setFigure('packets', full(total.packets));
  setFigure('received', bytes(total.received));
  setFigure('sent', bytes(total.sent));
  setFigure('bytesQueued', bytes(bytesQueued));
  setFigure('loop', loop === null ? '–' : `${short(loop.p99)} ms`);
  for (const [name, count] of Object.entries(troubles))
    setFigure(name, full(count)).classList.toggle('some', count > 0);
}
