// A thread's time line: a strip of the last seconds, on a canvas, in which the spans of its packets move to the left.

import type { Span } from './model.js';

/** Milliseconds for each pixel. A narrow strip shows less time, at the same scale. */
const SCALE = 12;
const HEIGHT = 34;
/** The least width of a span that shows its number, in pixels. */
const ROOM = 26;

export class Timeline {
  readonly element = document.createElement('canvas');
  readonly #context = this.element.getContext('2d')!;
  #width = 0;

  constructor(label: string) {
    this.element.className = 'timeline';
    this.element.role = 'img';
    this.element.ariaLabel = label;
  }

  /** Takes the width that the page gives it. */
  fit(): void {
    const width = Math.floor(this.element.getBoundingClientRect().width);
    this.#width = width;
    this.element.width = width * devicePixelRatio;
    this.element.height = HEIGHT * devicePixelRatio;
  }

  /** @param now the time at the right edge, in milliseconds */
  draw(spans: readonly Span[], now: number, colours: Colours): void {
    const context = this.#context;
    const width = this.#width;
    const first = now - width * SCALE;
    const place = (at: number) => (at - first) / SCALE;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    context.fillStyle = colours.grid;
    for (let second = Math.ceil(first / 1000); second * 1000 <= now; second++)
      context.fillRect(Math.round(place(second * 1000)), 0, 1, HEIGHT);
    context.fillStyle = colours.line;
    context.fillRect(0, HEIGHT / 2, width, 1);
    for (const span of spans) {
      if (span.end < first || span.start > now) continue;
      const left = Math.max(-4, place(span.start));
      const right = place(Math.min(now, span.end));
      this.#bar(left, Math.max(2, right - left), span, colours);
    }
  }

  #bar(left: number, width: number, { state, request }: Span, colours: Colours): void {
    const context = this.#context;
    const colour = state === 'running' ? colours.running : colours.blocked;
    context.beginPath();
    context.roundRect(left, 5, width - 1, HEIGHT - 10, Math.min(5, width / 2));
    if (state === 'running') {
      context.fillStyle = colour;
      context.fill();
    } else {
      context.save();
      context.fillStyle = colours.blockedFill;
      context.fill();
      context.strokeStyle = colour;
      context.lineWidth = 1.5;
      context.stroke();
      context.clip();
      context.lineWidth = 1;
      // Stripes, so that not only the colour tells it.
      context.beginPath();
      for (let x = left - HEIGHT; x < left + width; x += 7) {
        context.moveTo(x, HEIGHT);
        context.lineTo(x + HEIGHT, 0);
      }
      context.globalAlpha = 0.45;
      context.stroke();
      context.restore();
    }
    if (width < ROOM) return;
    context.font = `600 11px ${colours.font}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillStyle = state === 'running' ? colours.onRunning : colours.text;
    context.fillText(String(request), left + width / 2, HEIGHT / 2 + 1);
  }
}

export interface Colours {
  readonly grid: string;
  readonly line: string;
  readonly text: string;
  readonly running: string;
  readonly onRunning: string;
  readonly blocked: string;
  readonly blockedFill: string;
  readonly font: string;
}

/** Those of the page's style, light or dark. */
export function coloursNow(): Colours {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(`--${name}`);
  return {
    grid: of('grid'),
    line: of('line'),
    text: of('text'),
    running: of('running'),
    onRunning: of('on-running'),
    blocked: of('blocked'),
    blockedFill: of('blocked-fill'),
    font: style.fontFamily,
  };
}
