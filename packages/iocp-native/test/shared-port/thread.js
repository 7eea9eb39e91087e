// A thread that waits on a shared port and does what packets say: `key` names the job, `bytes` what it is. It writes what
// happens into a log in shared memory: how many entries are written, how many are reserved, then (event, thread, key) for
// each.

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { workerData } from 'node:worker_threads';
import { Event, Job } from './script.js';

const { library, token, log, flags, number, seen } = workerData;
const { openSharedPort } = await import(library);
const port = openSharedPort(token);
if (!seen) {
  // For this thread it is as where there is no /proc.
  fs.openSync = () => {
    throw new Error('there is no such file');
  };
  syncBuiltinESMExports();
}

note(Event.Waits, 0);
for (let packet = port.wait(-1); packet !== null; packet = port.wait(-1)) {
  const { key, bytes } = packet;
  note(Event.Starts, key);
  if (bytes === Job.Block) untilSet(key);
  else if (bytes === Job.Declare) port.blocking(() => untilSet(key));
  else if (bytes === Job.Leave) {
    port.leave();
    while (Atomics.load(flags, key) === 0);
  } else if (bytes === Job.Spin) while (Atomics.load(flags, key) === 0);
  else if (bytes === Job.SpinThenCompute) {
    while (Atomics.load(flags, key) === 0);
    compute();
  } else if (bytes === Job.BlockThenSpin) {
    untilSet(key);
    while (Atomics.load(flags, key + 1) === 0);
  } else if (bytes === Job.Compute) compute();
  note(Event.Ends, key);
}
note(port.closed ? Event.Closed : Event.Null, 0);

/** Sleeps in the kernel. */
function untilSet(key) {
  while (Atomics.load(flags, key) === 0) Atomics.wait(flags, key, 0, 1000);
}

/**
 * Keeps its core for some 10 ms, long enough for others to break a rule. It allocates nothing: a thread that waits for the
 * garbage collector's helpers is blocked.
 */
function compute() {
  for (let i = 0; i < 5_000_000; i++) Atomics.load(flags, 0);
}

function note(event, key) {
  const at = 2 + Atomics.add(log, 1, 1) * 3;
  log[at + 1] = number;
  log[at + 2] = key;
  Atomics.store(log, at, event);
  Atomics.add(log, 0, 1);
  Atomics.notify(log, 0);
}
