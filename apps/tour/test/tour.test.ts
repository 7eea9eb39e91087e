// Each program of the tour ends by itself and shows the idea of its first line. Times are not checked.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const SOURCES = new URL('../src/', import.meta.url);
const LIMIT = 50_000;
const [FEWEST_LINES, MOST_LINES] = [15, 40];
const names = readdirSync(SOURCES)
  .map((file) => file.replace('.ts', ''))
  .filter((name) => name !== 'cli');

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', timeout: LIMIT, killSignal: 'SIGKILL' });
}

/** The output of a program, without its idea and its path. */
function outputOf(name: string): string[] {
  const { status, stdout, stderr } = run(name);
  expect(stderr).toBe('');
  expect(status, stdout).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toBe(
    readFileSync(new URL(`${name}.ts`, SOURCES), 'utf8')
      .split('\n')[0]!
      .replace('// ', ''),
  );
  expect(lines.at(-1)).toBe(`The program: apps/tour/src/${name}.ts`);
  return lines.slice(2, -2);
}

test('without a name it lists every program with its idea', () => {
  const { status, stdout } = run();
  expect(status).toBe(0);
  const listed = [...stdout.matchAll(/^([a-z]+) +[A-Z]/gm)].map(([, name]) => name);
  expect(listed.toSorted()).toEqual(names.toSorted());
});

test('an unknown name is refused in one line', () => {
  const { status, stderr } = run('nothing');
  expect(status).toBe(1);
  expect(stderr).toMatch(/^error: .*'nothing' is invalid.*\n$/);
});

// The lab has a folder of its own.
test.each(names.filter((name) => name !== 'lab'))('%s is short', (name) => {
  const lines = readFileSync(new URL(`${name}.ts`, SOURCES), 'utf8')
    .trimEnd()
    .split('\n').length;
  expect(lines).toBeGreaterThanOrEqual(FEWEST_LINES);
  expect(lines).toBeLessThanOrEqual(MOST_LINES);
});

test('fifo: packets leave in the order in which they were queued', () => {
  const output = outputOf('fifo');
  const of = (what: string) =>
    output.filter((line) => line.startsWith(what)).map((line) => line.replace(/^\w+: +/, ''));
  expect(of('queued')).toHaveLength(4);
  expect(of('taken')).toEqual(of('queued'));
});

test('lifo: few threads get most of the jobs', () => {
  const counts = outputOf('lifo')[1]!.split(' ').map(Number);
  expect(counts.reduce((sum, count) => sum + count)).toBe(400);
  // In turns the four busiest of the eight threads would have half of the jobs.
  expect(counts.slice(0, 4).reduce((sum, count) => sum + count)).toBeGreaterThan(300);
});

// A thread that computes may sleep for a lock or for memory on a busy machine, and then counts as blocked.
test('concurrency: so many jobs are under way at a time', { retry: 3 }, () => {
  const averages = [
    ...outputOf('concurrency')
      .join('\n')
      .matchAll(/: ([0-9.]+) at a time/g),
  ].map(([, number]) => Number(number));
  expect(averages).toHaveLength(4);
  const [one, two, , eight] = averages;
  expect(one).toBeLessThan(1.5);
  expect(two).toBeLessThan(3);
  expect(eight).toBeGreaterThan(one!);
});

test('event: two records serve four operations', () => {
  const output = outputOf('event');
  expect(output.slice(0, 4).toSorted()).toEqual([
    'Accept   for the listener: record 0, use 1, 0 bytes',
    'Connect  for the client: record 1, use 1, 0 bytes',
    'Receive  for the session: record 0, use 2, 5 bytes',
    'Send     for the client: record 1, use 2, 5 bytes',
  ]);
  expect(output[4]).toBe('The session got "hello".');
});

test('accept: 256 accepts are outstanding before and after', () => {
  const output = outputOf('accept');
  expect(output).toContain('Before the first client: 0 sessions, 256 accepts outstanding');
  expect(output.filter((line) => line.startsWith('onConnected'))).toHaveLength(3);
  expect(output).toContain('With 3 clients: 3 sessions, 256 accepts outstanding');
});

test('workers: connections take turns between two threads that do not accept', () => {
  const output = outputOf('workers');
  const main = /^Thread (\d+) accepts/.exec(output[0]!)![1];
  const threads = output.slice(1).map((line) => /^connection \d: .* thread (\d+)$/.exec(line)![1]);
  expect(threads).toHaveLength(4);
  expect(threads.slice(2)).toEqual(threads.slice(0, 2));
  expect(new Set([main, ...threads]).size).toBe(3);
});

test('receive: bytes in pieces, packets in order', () => {
  expect(outputOf('receive').filter((line) => line.startsWith('onPacket'))).toEqual([
    'onPacket: id 1, "login"',
    'onPacket: id 2, "move"',
    'onPacket: id 3, "chat"',
  ]);
});

test('end: 0 bytes and an error, and nothing is left', () => {
  const [, first, , second, last] = outputOf('end');
  expect(first).toBe('onDisconnected: in order, no error');
  expect(second).toMatch(/^onDisconnected: Cannot .*connection reset by peer \(ECONNRESET, /);
  expect(last).toBe('stop(): every event and every buffer came back.');
});

test('pool: three bugs are caught', () => {
  const output = outputOf('pool');
  expect(output[0]).toBe('acquire() after release() gives the same object: true');
  expect(output[1]).toMatch(/^A double release: AssertionError .*twice/);
  expect(output[2]).toMatch(/^A leak: AssertionError .*1 of 2 objects are out/);
  expect(output[3]).toMatch(/^The release of an event in flight: AssertionError .*which is pending/);
});

test('blocking: a second thread runs in the place of one that blocks', () => {
  expect(outputOf('blocking').slice(1)).toEqual([
    'The port noticed: the second handler ran, and woke the first.',
    'They ran in two threads.',
  ]);
});
