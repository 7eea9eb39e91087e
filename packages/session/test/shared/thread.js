// What the threads of the tests do with the shared memory.

import { parentPort, threadId, workerData } from 'node:worker_threads';
import { SharedLock } from '@overlapped/iocp-native/internal';

const { ByteQueues, QUEUE_WORDS } = await import(`${workerData.modules}byte-queues.mjs`);
const { GroupTable } = await import(`${workerData.modules}group-table.mjs`);

const actions = {
  /** Appends numbers to all queues in turn: 4 bytes each, 24 at most in one append. */
  produce({ memory, locks, producer, count, queues }) {
    const all = new ByteQueues(memory);
    const numbers = Array.from({ length: queues }, () => 0);
    const each = count / queues;
    for (let turn = producer; numbers.some((number) => number < each); turn++) {
      const queue = turn % queues;
      const length = Math.min(1 + (turn % 24), each - numbers[queue]);
      const data = Buffer.alloc(length * 4);
      for (let i = 0; i < length; i++) data.writeUInt32LE(producer * 2 ** 24 + numbers[queue] + i, i * 4);
      if (locked(locks, queue, () => all.append(queue * QUEUE_WORDS, queue + 1, data))) numbers[queue] += length;
    }
  },

  /** Consumes from one queue until it has `count` numbers, and counts those that are not the next of their producer. */
  consume({ memory, locks, queue, producers, count }) {
    const all = new ByteQueues(memory);
    const at = queue * QUEUE_WORDS;
    const next = Array.from({ length: producers + 1 }, () => 0);
    let wrong = 0;
    for (let taken = 0; taken < count; ) {
      locked(locks, queue, () => {
        const length = all.headLength(at);
        if (length === 0) return;
        const offset = all.headOffset(at);
        const head = Buffer.from(memory.bytes.buffer, offset, length);
        for (let i = 0; i + 4 <= length; i += 4) {
          const value = head.readUInt32LE(i);
          const producer = value >>> 24;
          if (next[producer]++ !== (value & 0xff_ffff)) wrong++;
          taken++;
        }
        all.consume(at, length);
      });
    }
    return { wrong, taken: count };
  },

  /** Appends to its own queue and consumes, for ever. */
  churn({ memory, queue }) {
    const all = new ByteQueues(memory);
    const at = queue * QUEUE_WORDS;
    for (let turn = 0; ; turn++) {
      if (!all.append(at, queue + 1, Buffer.alloc(1 + (turn % 200)))) all.clear(at);
      all.consume(at, Math.min(all.lengthOf(at), turn % 150));
    }
  },

  /** Joins groups and leaves them, for ever. */
  mingle({ memory, limits, slots, names }) {
    const table = new GroupTable(memory, limits, () => 0);
    for (let turn = 0; ; turn++) {
      const slot = slots[turn % slots.length];
      const name = names[(turn * 7) % names.length];
      if (turn % 3 === 2) table.leaveAll(slot);
      else if (turn % 2 === 0) table.join(slot, name);
      else table.leave(slot, name);
    }
  },
};

function locked(words, at, action) {
  const lock = new SharedLock(words, at, threadId);
  while (!lock.lock(5));
  try {
    return action();
  } finally {
    lock.unlock();
  }
}

parentPort.postMessage('started');
parentPort.postMessage(actions[workerData.name](workerData));
