// A scraper for the tests, strict about the text format: https://prometheus.io/docs/instrumenting/exposition_formats/

import { expect } from 'vitest';

/** Values by name and labels, as they are written. */
export type Samples = Record<string, number>;

const COMMENT = /^# (HELP|TYPE) ([a-z][a-z_]*) (.+)$/;
const SAMPLE = /^([a-z][a-z_]*)(\{thread="(?:main|\d+)"\})? (\d+(?:\.\d+)?(?:e-\d+)?)$/;

/** The address of the metrics, from the line that tells it. */
export async function metricsUrl(nextLine: () => Promise<string>): Promise<string> {
  const line = await nextLine();
  expect(line).toMatch(/^metrics on http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  return line.slice('metrics on '.length);
}

/** How the statistic of one thread is written. */
export function labelled(name: string, thread: string): string {
  return `overlapped_thread_${name}{thread="${thread}"}`;
}

/** Scrapes again and again; the test's limit ends it. */
export async function scrapeUntil(url: string, holds: (samples: Samples) => boolean): Promise<Samples> {
  for (;;) {
    const samples = await scrape(url);
    if (holds(samples)) return samples;
  }
}

async function scrape(url: string): Promise<Samples> {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  return parse(await response.text());
}

/** Every sample comes after its HELP and TYPE; the name of a counter, and of no gauge, ends in `_total`. */
function parse(text: string): Samples {
  expect(text).toMatch(/\n$/);
  const described = new Set<string>();
  const samples: Samples = {};
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, kind, subject, what] = COMMENT.exec(line) ?? [];
    if (kind !== undefined) {
      if (kind === 'TYPE') expect(`${subject} ${what}`).toMatch(/_total counter$|(?<!_total) gauge$/);
      described.add(`${kind} ${subject}`);
      continue;
    }
    expect(line).toMatch(SAMPLE);
    const [, name, labels = '', value] = SAMPLE.exec(line)!;
    expect([...described]).toEqual(expect.arrayContaining([`HELP ${name}`, `TYPE ${name}`]));
    expect(samples).not.toHaveProperty([name + labels]);
    samples[name + labels] = Number(value);
  }
  return samples;
}
