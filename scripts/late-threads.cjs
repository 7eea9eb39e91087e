// Makes threads late, as on a busy machine: each Atomics operation of any thread is now and then followed by a pause. A race that
// needs a thread to stop for some milliseconds at the wrong place is found in minutes. A test that fails only with it may be right:
// a handler that is paused counts as blocked, for instance. From the folder of a package:
//
//   OVERLAPPED_SEED=7 NODE_OPTIONS="--require $PWD/../../scripts/late-threads.cjs" npx vitest run --config ../../vitest.config.ts test/shared

const { threadId } = require('node:worker_threads');

/** Milliseconds. */
const PAUSES = [0.05, 0.2, 1, 1, 5, 5, 20, 60, 250];
/** A pause after so many operations, on average. Threads differ, so that one is late and the others are not. */
const RATES = threadId === 0 ? [400, 3000, Infinity] : [60, 300, 1500, Infinity];
/** After so many milliseconds of pauses a thread is paused less for a while: a loop must not take minutes. */
const MANY = 1500;
const RECOVERY = 8000;

const { wait } = Atomics;
const cell = new Int32Array(new SharedArrayBuffer(4));
const seed = Number(process.env.OVERLAPPED_SEED ?? 1);
let random = Math.imul(seed + 17 * threadId + 1, 0x9e3779b1) || 1;
const usual = RATES[(random >>> 16) % RATES.length];
let rate = usual;
let paused = 0;
let rarerSince = 0;
let operations = 0;

function next() {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return random >>> 0;
}

function pause() {
  if (rate !== usual && ++operations % 1024 === 0 && Date.now() - rarerSince > RECOVERY) rate = usual;
  if (next() % rate !== 0) return;
  const length = PAUSES[next() % PAUSES.length];
  paused += length;
  if (paused > MANY) {
    rate *= 4;
    paused = 0;
    rarerSince = Date.now();
  }
  wait(cell, 0, 0, length);
}

for (const name of ['load', 'store', 'or', 'and', 'xor', 'add', 'sub', 'exchange', 'compareExchange', 'notify']) {
  const original = Atomics[name];
  Atomics[name] = (...args) => {
    const result = original(...args);
    pause();
    return result;
  };
}
