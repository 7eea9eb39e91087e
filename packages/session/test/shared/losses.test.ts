// The loss of a thread at each point: what a session does is played again and again, and each time its thread ends one point
// later, until it survives. A point is a call of Atomics, the moment before a call of the kernel, and the moment after it: see
// modules/mortal.js. Each time at most the sessions that the thread was changing are lost; all others are served, and nothing is left.

import { setEnvironmentData, type Worker } from 'node:worker_threads';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { Client, connect, until as untilHolds } from '../threads.js';
import { inUse } from './audit.js';
import { available, handleCount, kernel, serveShared, tableOf, wine } from './support.js';

const Word = { Point: 0, Place: 1, Died: 2, Survived: 3, Lost: 4, Over: 5, Loaded: 6 };
const Place = { accept: 1, wait: 2, sendBlock: 3, close: 4 } as const;
/** Between two points that are tried: where machines test, each is; a thread under Wine takes long to start. */
const STRIDE = wine ? 7 : process.env.CI ? 1 : 3;
const THREADS = 12;

interface Doomed {
  /** What the session is asked to do; or the place where a thread is to end. */
  readonly command?: string;
  readonly place?: keyof typeof Place;
  /** It fills the kernel's buffers, so its client does not read until bytes are queued: a client that reads as fast never lets it end. */
  readonly fills?: true;
  /** What is done then, with the session's client: it may read. */
  readonly after?: (client: Client) => void;
}

const scenes: Readonly<Record<string, Doomed>> = {
  'in a turn that does nothing, and at its end': { command: 'nothing' },
  'while it sends': { command: 'send' },
  'while it queues what the kernel does not take': { command: 'queue', fills: true },
  'while it sends what was queued': { command: 'fill', place: 'sendBlock', fills: true },
  'while it sends to another session, and tells it something': { command: 'tell' },
  'while it ends its session': { command: 'end', after: ({ socket }) => socket.end() },
  'while it closes its session': { command: 'destroy' },
  'while it closes the descriptor': { command: 'close', place: 'close' },
  'in an async turn': { command: 'later' },
  'while it accepts': { place: 'accept' },
  'while it takes a packet, with a slot': { place: 'wait' },
};

/** What the test waits for, so that a failure says it. */
let waiting = '';

function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  waiting = String(holds);
  return untilHolds(holds);
}

async function answers(client: Client, command = 'ask'): Promise<boolean> {
  waiting = `the answer to ${command}`;
  let bytes = '';
  let listen = (_piece: unknown) => {};
  const answered = new Promise<boolean>((resolve) => {
    listen = (piece) => {
      bytes = (bytes + piece).slice(-64);
      if (bytes.endsWith('answer')) resolve(true);
    };
    client.socket.on('data', listen);
  });
  client.socket.write(command);
  const answer = await Promise.race([answered, client.closed.then(() => false)]);
  client.socket.off('data', listen);
  return answer;
}

// Elsewhere there is no shared port for sockets.
test.runIf(available).each(Object.keys(scenes))('a thread that ends %s', { timeout: 120_000 }, async (name) => {
  const { command, place, fills, after } = scenes[name]!;
  const words = new Int32Array(new SharedArrayBuffer(64));
  setEnvironmentData('overlapped:shared-mortal', words.buffer);
  // What a first core keeps for the next one is there.
  await (await serveShared('mortal')).core.stop();
  const before = handleCount();
  let started = words[Word.Loaded]!;
  const count = () => started++;
  process.on('worker', count);
  onTestFinished(() => void process.off('worker', count));
  const { core, listener, port, losses } = await serveShared('mortal', { concurrency: 2, threads: THREADS });
  const [first] = await connect(port, 1);
  const bystanders = await connect(port, place === 'wait' ? THREADS : 3);
  // A connection is there before a thread has accepted it, and the next accept may be the one to end in.
  for (const client of [first!, ...bystanders]) expect(await answers(client)).toBe(true);
  const sessions = 1 + bystanders.length;
  let point = 1;
  onTestFailed(() =>
    console.error(`at point ${point} it waited for: ${waiting}`, { words, before, handles: handleCount() }),
  );
  for (; ; point += STRIDE) {
    words.fill(0, 0, Word.Loaded);
    words[Word.Point] = point;
    const isDone = () => words[Word.Died]! + words[Word.Survived]! > 0;
    const clients = place === 'accept' ? [] : await connect(port, 2);
    for (const client of clients) expect(await answers(client)).toBe(true);
    const [actor, other] = clients;
    const id = actor === undefined ? 0 : Number(await other!.ask('id'));
    if (place !== undefined) Atomics.store(words, Word.Place, Place[place]);
    if (command !== undefined) actor!.socket.write(command === 'tell' ? `tell ${id}` : command);
    if (fills) {
      actor!.socket.pause();
      await until(() => inUse(core).queued > 0 || isDone());
      actor!.socket.resume();
    }
    if (place === 'accept') clients.push(new Client(port));
    if (after) after(actor!);
    if (command === 'tell') {
      // The core's thread does the same at once: it learns of the end in here, or it would wait for the lock for ever.
      while (Atomics.load(words, Word.Died) + Atomics.load(words, Word.Survived) === 0);
      core.tell(id, 'told');
      core.send(id, 'sent');
    }
    // Packets take threads into the wait, and out of it. The one that is to end may be the last in line for a slot: then all
    // threads block for a while, so that it gets one.
    for (let packets = 1; place === 'wait' && !isDone(); packets++) {
      const asked = packets % 50 === 0 ? bystanders : bystanders.slice(0, 1);
      const command = asked === bystanders ? 'block' : 'ask';
      const all = await Promise.all(asked.map((bystander) => answers(bystander, command)));
      expect(all, `point ${point}`).not.toContain(false);
    }
    await until(isDone);
    const died = words[Word.Died]! > 0;
    // While one thread is missing.
    for (const bystander of bystanders) expect(await answers(bystander), `point ${point}`).toBe(true);
    if (died) await until(() => losses.length > 0);
    losses.length = 0;
    const lost: Client[] = [];
    // Wine keeps the rest of a short send() for the thread that called it, with a descriptor of its own. It stays open when that thread ends.
    const deaf = wine && fills && died ? actor : undefined;
    for (const client of clients) if (client !== deaf && !(await answers(client))) lost.push(client);
    for (const { socket } of clients) socket.destroy();
    await until(() => inUse(core).records === sessions && inUse(core).locks === 0);
    const told = words[Word.Lost]! + words[Word.Over]!;
    if (place === 'accept') expect(told, `point ${point}`).toBeLessThanOrEqual(1);
    else expect(told, `point ${point}`).toBe(clients.length);
    // The first point is in the turn.
    if (point === 1 && place === undefined) expect([words[Word.Lost], lost]).toEqual([1, deaf ? [] : [actor]]);
    expect(inUse(core), `point ${point}`).toMatchObject({
      records: sessions,
      sessions,
      lostRecords: 0,
      queued: 0,
      blocks: 0,
    });
    // A thread that was seen asleep, and runs again, has a slot too many until a thread comes back for a packet.
    await until(async () => (await answers(bystanders[0]!)) && inUse(core).miscounted + inUse(core).excess === 0);
    if (!died) break;
  }
  expect(point).toBeGreaterThan(3);
  for (const { socket } of [first!, ...bystanders]) socket.destroy();
  await until(() => inUse(core).records === 0);
  // Node leaves a module's file open when the thread ends that reads it.
  await until(() => words[Word.Loaded] === started);
  await listener.stop();
  await core.stop(500);
  await until(() => handleCount() <= before);
});

// The completion port arms nothing, and does not tell whether a thread runs.
test.runIf(kernel === 'epoll')(
  'threads accept again after a loss, also when its recovery found the lock of accepts taken',
  async () => {
    let worker: Worker | undefined;
    process.once('worker', (started) => (worker = started));
    const { core, losses, port } = await serveShared('echo', { concurrency: 1, threads: 1 });
    const lock = tableOf(core).serviceLock(0);
    expect(lock.lock(0)).toBe(true);
    const [client] = await connect(port, 1);
    // It has the packet of the connection, and waits for the lock. So the listening socket is armed no longer.
    await until(() => core.stats().total.slots === 1);
    await worker!.terminate();
    await until(() => losses.length === 1);
    lock.unlock();
    expect(await client!.ask('hello')).toBe('hello');
  },
);
