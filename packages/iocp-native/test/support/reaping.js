// Terminates workers that have accepts, receives and sends in flight, and others that are busy opening and closing
// connections, reaps them, and looks at this process on Linux: every descriptor and mapping must be back, and no other
// gone. Its argument is the built package. Ends with 0 if all is well, else with an error that says what is wrong.

import assert from 'node:assert';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { Worker } from 'node:worker_threads';

const ROUNDS = 50;
const PEERS = 12;
const BLOCK = 4;
const [library] = process.argv.slice(2);
const { candidates, createBatch, EVENT_SIZE, openPort } = await import(library);
const { createLedger, reap } = await import(new URL('./internal.js', library));
const port = openPort({ backend: 'io_uring' });
const records = port.allocate(EVENT_SIZE);
const listener = await port.listen({ address: '127.0.0.1', family: 4, port: 0 }, { detached: true });
assert(candidates().length > 0);

/** What is open, but for the descriptor that lists it. */
function descriptors() {
  const open = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      open.push(`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`);
    } catch {
      // That one.
    }
  }
  return open;
}

/** Where the memory that a ledger tells of is still mapped, and rings of which nobody knows. */
function mapped(blocks) {
  const lines = readFileSync('/proc/self/maps', 'utf8').trim().split('\n');
  const ranges = lines.map((line) =>
    line
      .split(/[- ]/)
      .slice(0, 2)
      .map((address) => Number.parseInt(address, 16)),
  );
  const rings = lines.filter((line) => line.includes('io_uring')).length;
  const left = blocks.filter(([at, size]) => ranges.some(([from, to]) => from <= at && at + size <= to));
  return { rings, left };
}

function blocksOf(ledger) {
  const words = new Float64Array(ledger);
  const blocks = [];
  for (let at = 1; at < words.length; at += 3) if (words[at] === BLOCK) blocks.push([words[at + 1], words[at + 2]]);
  return blocks;
}

/** A worker with a port, some peers that have written to it, and its end. Gives the blocks that it had. */
async function round(waits) {
  const ledger = createLedger();
  const start = new SharedArrayBuffer(4);
  const worker = new Worker(new URL('./owner.js', import.meta.url), {
    workerData: { library, backend: 'io_uring', ledger, start, waits },
  });
  const [{ token, local }] = await once(worker, 'message');
  new Int32Array(start).fill(1);
  Atomics.notify(new Int32Array(start), 0);
  let received = 0;
  const allReceived = new Promise((resolve) => worker.on('message', () => ++received === PEERS && resolve()));
  const peers = Array.from({ length: PEERS }, () => connect(local.port, '127.0.0.1'));
  const closed = peers.map((peer) => new Promise((resolve) => peer.on('error', () => {}).on('close', resolve)));
  for (const peer of peers) peer.pause().write('hello');
  await allReceived;
  await worker.terminate();
  const blocks = blocksOf(ledger);
  assert(blocks.length > 0);
  reap(ledger, token);
  for (const peer of peers) peer.resume();
  await Promise.all(closed);
  return blocks;
}

/** The end of a worker whose ring holds completions that it has not seen: sockets accepted, and sockets closed. */
async function churn() {
  const ledger = createLedger();
  const workerData = { library, backend: 'io_uring', ledger };
  const worker = new Worker(new URL('./churner.js', import.meta.url), { workerData });
  await once(worker, 'message');
  await worker.terminate();
  const blocks = blocksOf(ledger);
  // They get the numbers of sockets that the ledger still has, and that are closed.
  const others = Array.from({ length: 64 }, () => openSync('/dev/null'));
  reap(ledger);
  for (const fd of others) {
    assert(fstatSync(fd).isCharacterDevice(), 'the descriptor of somebody else');
    closeSync(fd);
  }
  return blocks;
}

/** A connection to the port of this thread, which has seen all of it. */
async function echo() {
  const event = { block: records, offset: 0, tag: 1, pending: false };
  port.accept(listener, event);
  const peer = connect(listener.localEndpoint().port, '127.0.0.1');
  await once(peer, 'connect');
  const batch = createBatch(1);
  while (port.dequeue(batch, 1000) === 0);
  const socket = port.adopt(batch[0].handle);
  port.close(socket);
  while (port.dequeue(batch, 1000) === 0);
  peer.resume();
  await once(peer, 'close');
}

await round(true);
await churn();
await echo();
const before = descriptors();
const rings = mapped([]).rings;
for (let i = 0; i < ROUNDS; i++) {
  const blocks = i % 2 === 0 ? await churn() : await round(i % 4 === 1);
  assert.deepStrictEqual(descriptors(), before, `descriptors after round ${i}`);
  // Small ones may have been mapped anew, by others.
  const large = blocks.filter(([, size]) => size >= 1 << 20);
  assert(large.length > 0);
  assert.deepStrictEqual(mapped(large), { rings, left: [] }, `mappings after round ${i}`);
}
await echo();
port.destroy();
