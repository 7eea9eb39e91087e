// The table that a command prints, for one rival and for several.

import { expect, test } from 'vitest';
import { atLeast, atMost, compare, cpu, rate, report, switches, table } from '../src/measuring/report.js';
import type { Series } from '../src/measuring/rounds.js';

const ours: Series = { by: 'ours', samples: [30, 20, 10].map((rate) => ({ rate, cpu: 1, clientBusy: 0.5 })) };
const theirs: Series = { by: 'theirs', samples: [10, 10, 10].map((rate) => ({ rate, cpu: 2, clientBusy: 0.25 })) };
const others: Series = { by: 'others', samples: [60, 20, 40].map((rate) => ({ rate, cpu: 4, clientBusy: 1 })) };

test('a report has the medians, the median of the ratios, and the target', () => {
  const figures = [rate('messages', { theirs: atLeast(2.5) }), cpu('message', { theirs: atMost(0.5) })];
  expect(wordsOf(report('echo', [ours, theirs], figures))).toEqual([
    'echo ours theirs',
    'messages/s 20 10 x 2.00 (1.00 to 3.00) of theirs target >= 2.5: NOT met',
    'server CPU us/message 1 2 x 0.50 (0.50 to 0.50) of theirs target <= 0.5: met',
    'client busy 50 % 25 %',
  ]);
});

test('each of several rivals has its ratio, and its own target or none', () => {
  const figures = [
    rate('messages', { theirs: atLeast(1), others: atLeast(0.25) }),
    cpu('message', { others: atMost(1) }),
  ];
  const text = report('echo', [ours, theirs, others], figures);
  expect(wordsOf(text)).toEqual([
    'echo ours theirs others',
    'messages/s 20 10 40 x 2.00 (1.00 to 3.00) of theirs target >= 1: met',
    'x 0.50 (0.25 to 1.00) of others target >= 0.25: met',
    'server CPU us/message 1 2 4 x 0.50 (0.50 to 0.50) of theirs',
    'x 0.25 (0.25 to 0.25) of others target <= 1: met',
    'client busy 50 % 25 % 100 %',
  ]);
  const columns = text.split('\n').map((line) => line.indexOf('x '));
  expect(new Set(columns.filter((column) => column >= 0)).size).toBe(1);
});

test('a comparison has a line for each, with the ratios to the last', () => {
  const samples = [{ rate: 20, cpu: 1, clientBusy: 0.5, p50: 3, p99: 9 }];
  const text = compare(
    'echo, 64 B x 1',
    [
      { by: 'ours', samples },
      { by: 'theirs', samples: [{ rate: 10, cpu: 4 }] },
    ],
    'MB',
  );
  expect(wordsOf(text)).toEqual([
    'echo, 64 B x 1 MB/s CPU us/MB p50 us p99 us client',
    'ours 20 x 2.00 1 x 0.25 3 9 50 %',
    'theirs 10 x 1.00 4 x 1.00',
  ]);
});

test('a table has a line for each, and a column for each figure', () => {
  const samples = [1, 3, 2].map((switches) => ({ rate: 1000, cpu: 2, switches }));
  const text = table('work', [{ by: 'ours', samples }], [rate('messages'), cpu('message'), switches]);
  expect(wordsOf(text)).toEqual(['work messages/s CPU us/message switches/message', 'ours 1,000 2 2']);
});

test('where nobody says how busy the client was there is no line for it', () => {
  const samples = [{ rate: 1, cpu: 1 }];
  const text = report(
    'jobs',
    [
      { by: 'ours', samples },
      { by: 'theirs', samples },
    ],
    [rate('jobs')],
  );
  expect(wordsOf(text)).toEqual(['jobs ours theirs', 'jobs/s 1 1 x 1.00 (1.00 to 1.00) of theirs']);
});

function wordsOf(text: string): string[] {
  return text.split('\n').map((line) => line.trim().replace(/\s+/g, ' '));
}
