// Runs a command, and stops its processes now and then for up to 0.9 s (SIGSTOP), one of them or all, as on a busy machine. A test that
// relies on time fails with it. Linux. A program that watches its own children for stops, as script(1) does, may fail and be right. In the
// folder of a package:
//
//   node ../../scripts/stop-and-go.mjs 7 npx vitest run --config ../../vitest.config.ts

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds between two stops, and of a stop. */
const GOES = [50, 100, 300, 600, 1000];
const STOPS = [50, 200, 200, 400, 600, 900];

const [seed, command, ...parameters] = process.argv.slice(2);
if (!(Number(seed) > 0) || command === undefined) throw new Error('usage: stop-and-go.mjs SEED COMMAND...');
let random = Math.imul(Number(seed), 0x9e3779b1) || 1;

function pick(choices) {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return choices[(random >>> 0) % choices.length];
}

/** A process, and all below it. Of one that has ended there are none. */
function family(pid) {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean),
    );
    return [pid, ...children.flatMap(family)];
  } catch {
    return [];
  }
}

function send(signal, processes) {
  for (const each of processes) {
    try {
      process.kill(Number(each), signal);
    } catch (error) {
      // It has ended.
      if (error.code !== 'ESRCH') throw error;
    }
  }
}

const child = spawn(command, parameters, { stdio: 'inherit' });
const ended = once(child, 'exit');
let stops = 0;
for (;;) {
  await Promise.race([ended, sleep(pick(GOES))]);
  if (child.exitCode !== null || child.signalCode !== null) break;
  const all = family(child.pid);
  if (all.length === 0) continue;
  const stopped = pick([true, false]) ? all : [pick(all)];
  send('SIGSTOP', stopped);
  await sleep(pick(STOPS));
  send('SIGCONT', stopped);
  stops++;
}
const [code, signal] = await ended;
console.log(`seed ${seed}: ${stops} stops; ${signal ?? `exit code ${code}`}`);
process.exitCode = code ?? 1;
