// What a shared port in memory has to see to itself: its queue's bounds, idleness, and threads that die inside it.

import { once } from 'node:events';
import { closeSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { expect, it, onTestFinished } from 'vitest';
import { koffi } from '../src/native/koffi.js';
import { Field, PortMemory, State } from '../src/shared-port/memory.js';
import { createMemoryPort, MemoryPort } from '../src/shared-port/memory-port.js';
import { openThreadState, Sleep, sleepOf } from '../src/shared-port/thread-state.js';
import { Crew, changes, library } from './shared-port/crew.js';
import { Event, Job } from './shared-port/script.js';

const CAPACITY = 4096;
// The first words of the layout.
const LOCK = 0;
const TAIL = 1;
const HOLDERS = 5;
const FIRST_RECORD = 16;
/** See Crew.start(). */
const UNSEEN = false;
const NOBODY = 1_000_000;

it('says no when it is full, and takes more when there is room', () => {
  const port = new MemoryPort(createMemoryPort(1));
  for (let i = 0; i < CAPACITY; i++) expect(port.post(i, 0)).toBe(true);
  expect(port.post(CAPACITY, 0)).toBe(false);
  expect(port.wait(0)).toEqual({ key: 0, bytes: 0 });
  expect(port.post(CAPACITY, 0)).toBe(true);
  for (let i = 1; i <= CAPACITY; i++) expect(port.wait(0)).toEqual({ key: i, bytes: 0 });
  expect(port.wait(0)).toBeNull();
  port.close();
});

it('goes on past the range of its counters', () => {
  const token = createMemoryPort(1);
  new Int32Array(token.memory).set([0x7ffffffe, 0x7ffffffe], TAIL);
  const port = new MemoryPort(token);
  for (let i = 0; i < 8; i++) {
    expect(port.post(i, i)).toBe(true);
    expect(port.post(i, i + 1)).toBe(true);
    expect([{ ...port.wait(0) }, { ...port.wait(0) }, port.wait(0)]).toEqual([
      { key: i, bytes: i },
      { key: i, bytes: i + 1 },
      null,
    ]);
  }
  port.close();
});

it('has nobody watch when nothing is queued, and only one thread otherwise', async () => {
  const crew = new Crew(createMemoryPort(1));
  const memory = new PortMemory(crew.token.memory);
  await crew.start(3, UNSEEN);
  await crew.lineUp(3);
  expect(memory.line.watching).toBe(false);
  crew.post(1, Job.Spin);
  await crew.startsJob(1);
  crew.post(2, Job.None);
  crew.post(3, Job.None);
  expect(memory.line).toEqual({ waiting: 2, watching: true });
  crew.set(1);
  await changes('all to wait again', () => memory.line.waiting === 3 && !memory.line.watching);
  expect(crew.count(Event.Ends)).toBe(3);
});

// Where nothing tells that a thread is blocked, it never loses its slot.
it.skipIf(openThreadState().stat < 0)(
  'counts a thread again that was blocked, so that the next to come back waits',
  async () => {
    const crew = new Crew(createMemoryPort(1));
    await crew.start(1);
    crew.post(1, Job.BlockThenSpin);
    await crew.startsJob(1);
    await crew.start(2, UNSEEN);
    crew.post(10, Job.Spin);
    await crew.startsJob(10);
    // While this one is queued the third thread watches.
    crew.post(20, Job.None);
    crew.set(1);
    const words = new Int32Array(crew.token.memory);
    await changes('both to be counted', () => Atomics.load(words, HOLDERS) === 2);
    // From now on nobody sees the first one sleep, either.
    words[FIRST_RECORD + Field.Stat] = -1;
    crew.set(10);
    await crew.endsJob(10);
    await crew.lineUp(2);
    expect(crew.has(Event.Starts, 20)).toBe(false);
    crew.set(2);
    await crew.endsJob(20);
    expect(crew.story).toEqual(['starts 1', 'starts 10', 'ends 10', 'ends 1', 'starts 20', 'ends 20']);
  },
);

// Where there is no /proc nothing tells.
it.skipIf(openThreadState().stat < 0)('sees that a thread computes, and that it sleeps', async () => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const code = `const { parentPort, workerData } = require('node:worker_threads');
    parentPort.postMessage(require('node:fs').openSync('/proc/thread-self/stat', 'r'));
    while (Atomics.load(workerData, 0) === 0);
    Atomics.wait(workerData, 1, 0);`;
  const worker = new Worker(code, { eval: true, workerData: words });
  const exit = once(worker, 'exit');
  const [stat] = (await once(worker, 'message')) as [number];
  const state = { stat, call: -1, futex: 0 };
  await changes('it to compute', () => sleepOf(state) === Sleep.Awake);
  Atomics.store(words, 0, 1);
  await changes('it to sleep', () => sleepOf(state) === Sleep.Blocked);
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  await exit;
});

// Without /proc it is not known where a thread sleeps.
it.skipIf(openThreadState().futex === 0)(
  'tells Atomics.wait() and system calls from a lock of native code',
  async () => {
    const words = new Int32Array(new SharedArrayBuffer(8));
    const mutex = Buffer.alloc(64);
    const lock = Number(koffi().address(mutex));
    const { token } = new Crew(createMemoryPort(1));
    const code = `const { parentPort, workerData } = require('node:worker_threads');
      const { token, words, lock, signal, library, calls } = workerData;
      const c = (definition) => require(calls).load(null).func(definition);
      import(library).then(({ openSharedPort }) => {
        openSharedPort(token).wait(0);
        parentPort.postMessage('it has a record');
        Atomics.wait(words, 0, 0);
        c('int pthread_mutex_lock(intptr_t)')(lock);
        require('node:fs').readSync(signal, Buffer.alloc(8));
      });`;
    const calls = createRequire(import.meta.url).resolve('koffi');
    const signal = koffi().load(null).func('int eventfd(unsigned int, int)')(0, 0);
    const unlock = koffi().load(null).func('int pthread_mutex_unlock(intptr_t)');
    koffi().load(null).func('int pthread_mutex_lock(intptr_t)')(lock);
    const worker = new Worker(code, { eval: true, workerData: { token, words, lock, signal, library, calls } });
    const exit = once(worker, 'exit');
    onTestFinished(() => void worker.terminate());
    await once(worker, 'message');
    const record = new Int32Array(token.memory).subarray(FIRST_RECORD);
    const state = { stat: record[Field.Stat]!, call: record[Field.Call]!, futex: record[Field.Futex]! };
    expect(state.futex).not.toBe(0);
    await changes('it to sleep in Atomics.wait()', () => sleepOf(state) === Sleep.Blocked);
    Atomics.store(words, 0, 1);
    Atomics.notify(words, 0);
    await changes('it to wait for the lock', () => sleepOf(state) === Sleep.Lock);
    unlock(lock);
    await changes('it to sleep in the kernel', () => sleepOf(state) === Sleep.Blocked);
    writeSync(signal, new Uint8Array(new BigUint64Array([1n]).buffer));
    await exit;
    closeSync(signal);
    expect(mutex.length).toBe(64);
  },
);

it('takes the slot of a thread that waits for a lock only after a long time', () => {
  const memory = PortMemory.create(1);
  const record = memory.join({ stat: -1, call: -1, futex: 0 });
  memory.push(1, 1);
  memory.acquire(record);
  expect(memory.take(record, { key: 0, bytes: 0 })).toBe(true);
  const [worker] = memory.workers();
  const look = (sleep: Sleep, earlier: number) => {
    memory.words[record + Field.Asleep]! -= earlier;
    memory.saw(worker!, sleep);
    return memory.state(record);
  };
  expect(look(Sleep.Lock, 0)).toBe(State.Running);
  expect(look(Sleep.Lock, 50_000)).toBe(State.Running);
  // Another sleep: it counts from its own begin.
  expect(look(Sleep.Blocked, 50_000)).toBe(State.Running);
  expect(look(Sleep.Blocked, 250)).toBe(State.Blocked);
  expect(look(Sleep.Awake, 0)).toBe(State.Running);
  expect(look(Sleep.Lock, 0)).toBe(State.Running);
  expect(look(Sleep.Lock, 110_000)).toBe(State.Blocked);
});

it('does not count a thread that ended while another one looked at it', () => {
  const memory = PortMemory.create(1);
  const other = new PortMemory(memory.buffer, 7);
  const record = other.join({ stat: -1, call: -1, futex: 0 });
  other.push(1, 1);
  other.acquire(record);
  other.take(record, { key: 0, bytes: 0 });
  memory.saw(memory.workers()[0]!, Sleep.Blocked);
  memory.words[record + Field.Asleep]! -= 250;
  memory.saw(memory.workers()[0]!, Sleep.Blocked);
  expect(memory.state(record)).toBe(State.Blocked);
  const [worker] = memory.workers();
  memory.recover(7);
  // Its descriptors are closed: it seems to be awake.
  memory.saw(worker!, Sleep.Awake);
  expect(memory.words[HOLDERS]).toBe(0);
});

it('gives up the slot of a thread that leaves, though it computes', async () => {
  const crew = new Crew(createMemoryPort(1));
  await crew.start(2);
  crew.post(1, Job.Leave);
  await crew.startsJob(1);
  crew.post(2, Job.None);
  await crew.endsJob(2);
  expect(crew.has(Event.Ends, 1)).toBe(false);
  crew.set(1);
  await crew.endsJob(1);
});

it('takes back the slot of a thread that ended while another one has the lock for long, or has ended in it', () => {
  const memory = PortMemory.create(1);
  const ended = new PortMemory(memory.buffer, 7);
  const late = new PortMemory(memory.buffer, 8);
  for (const end of [() => late.unlock(), () => memory.recover(8)]) {
    const record = ended.join({ stat: -1, call: -1, futex: 0 });
    ended.acquire(record);
    expect(late.lock(true)).toBe(true);
    memory.recover(7);
    expect(memory.words[HOLDERS]).toBe(1);
    end();
    expect([memory.words[HOLDERS], memory.words[LOCK]]).toEqual([0, 0]);
  }
});

it('does not hang a poster on the lock of a dead thread, and serves again once that is recovered', async () => {
  const crew = new Crew(createMemoryPort(1));
  await crew.start(2);
  const words = new Int32Array(crew.token.memory);
  crew.post(1, Job.Spin);
  await crew.startsJob(1);
  while (Atomics.compareExchange(words, LOCK, 0, NOBODY + 1) !== 0);
  // The thread that ends its job waits for the lock, and so does the poster, who gives up.
  crew.set(1);
  expect(crew.port.post(2, Job.None)).toBe(false);
  crew.port.recover(NOBODY + 1);
  expect(Atomics.load(words, LOCK), 'this was somebody else').toBe(NOBODY + 1);
  crew.port.recover(NOBODY);
  crew.post(2, Job.None);
  await crew.endsJob(2);
});

it('can be closed while a dead thread holds the lock', async () => {
  const crew = new Crew(createMemoryPort(2));
  await crew.start(3);
  const words = new Int32Array(crew.token.memory);
  while (Atomics.compareExchange(words, LOCK, 0, NOBODY + 1) !== 0);
  crew.port.close();
  await Promise.all(crew.exits);
  expect(crew.count(Event.Closed)).toBe(3);
});

it('loses no packet but those in the hands of threads that are terminated at any moment', async () => {
  const crew = new Crew(createMemoryPort(2));
  const rounds = 12;
  let key = 0;
  for (let round = 0; round < rounds; round++) {
    await crew.start(3);
    const victim = crew.workers.at(-1)!;
    const { threadId } = victim;
    const first = key;
    const exit = once(victim, 'exit');
    // It may be anywhere in wait(), or in the middle of waking another one.
    for (let i = 0; i < 200; i++) {
      if (i === 100 + round * 5) void victim.terminate();
      if (crew.port.post(key, Job.None)) key++;
    }
    await exit;
    crew.port.recover(threadId);
    // Whatever comes after the recovery is served.
    crew.post(key, Job.None);
    await crew.endsJob(key++);
    await crew.until('the rest', () => crew.started.filter((k) => k >= first).length >= key - first - 1);
  }
  expect(crew.started.length).toBeGreaterThanOrEqual(key - rounds);
});

// Where there is no /proc there is nothing to leave open.
it.skipIf(openThreadState().stat < 0)('leaves no descriptor behind', async () => {
  const { readdirSync } = await import('node:fs');
  const open = () => readdirSync('/proc/self/fd').map(Number);
  const stats = () => open().length;
  const port = new MemoryPort(createMemoryPort(1));
  const before = stats();
  expect(port.wait(0)).toBeNull();
  expect(stats()).toBe(before + 2);
  port.close();
  expect(stats()).toBe(before);
  const code = `require('node:fs').openSync('/proc/thread-self/stat', 'r');`;
  await once(new Worker(code, { eval: true }), 'exit');
  expect(stats(), 'those of a worker end with it').toBe(before);
});
