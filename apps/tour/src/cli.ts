#!/usr/bin/env node
// The command: `tour` lists the programs, `tour NAME` runs one.

import { readFileSync } from 'node:fs';
import { command, fail } from '@overlapped/support';
import { Argument } from 'commander';

/** In the order of the guide. */
const NAMES = [
  'fifo',
  'lifo',
  'concurrency',
  'event',
  'accept',
  'workers',
  'receive',
  'end',
  'pool',
  'blocking',
  'lab',
];

/** The idea of a program is its first line. */
function ideaOf(name: string): string {
  const source = readFileSync(new URL(`../src/${name}.ts`, import.meta.url), 'utf8');
  return source.slice('// '.length, source.indexOf('\n'));
}

async function run(name: string | undefined): Promise<void> {
  if (name === undefined) {
    for (const each of NAMES) console.log(`${each.padEnd(12)} ${ideaOf(each)}`);
    console.log('\nRun one: pnpm tour NAME. The guide explains each: docs/guide/en, docs/guide/ko.');
    return;
  }
  console.log(`${ideaOf(name)}\n`);
  await import(new URL(`./${name}.js`, import.meta.url).href);
  console.log(`\nThe program: apps/tour/src/${name}.ts`);
}

const about = 'Short programs that each show one idea of the completion port';
const program = command('tour', about, new URL('../package.json', import.meta.url))
  .addArgument(new Argument('[name]', 'the program to run; without it, all are listed').choices(NAMES))
  .action(run);

await program.parseAsync().catch((error) => fail(error));
