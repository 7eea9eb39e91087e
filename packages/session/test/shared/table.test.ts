// The records of shared sessions, and a thread that ends while a late packet has it look at a record that is free.

import type { SharedSockets, SocketPort } from '@overlapped/iocp-native/internal';
import { expect, test } from 'vitest';
import { SharedHost } from '../../src/shared/host.js';
import { recoverThread } from '../../src/shared/lost-thread.js';
import { HELD_WORDS } from '../../src/shared/protocol.js';
import { blocksSize, createTable, Field, SharedTable } from '../../src/shared/table.js';
import { tableInUse } from './audit.js';

const RECORDS = 4;
const BLOCKS = 4;
const ADDRESS = 2 ** 20;
const [MAIN, LIVING, DYING] = [0, 1, 2];
const SERVICE = 0;
/** The word of the lock of the list of free records. */
const FREE_LOCK = 0;
const nothing = { records: 0, sessions: 0, lostRecords: 0, blocks: 0, queued: 0, locks: 0 };

/** A table, as each of three threads sees it. */
function createViews() {
  const token = createTable(RECORDS, BLOCKS, ADDRESS, 3);
  const block = { bytes: Buffer.alloc(blocksSize(BLOCKS)), address: ADDRESS };
  return [MAIN, LIVING, DYING].map((thread) => new SharedTable(token, block as never, thread, thread)) as [
    SharedTable,
    SharedTable,
    SharedTable,
  ];
}

function recover(table: SharedTable): void {
  const port = { recover() {} } as unknown as SocketPort;
  const sockets = { mark: () => 0 } as unknown as SharedSockets;
  recoverThread(new SharedHost(table, port, sockets), DYING, new Int32Array(HELD_WORDS).fill(-1), [], () => {});
}

/** All records, each of which is taken once. */
function takeAll(table: SharedTable): number[] {
  return Array.from({ length: RECORDS + 1 }, () => table.acquire(SERVICE)).sort();
}

test('a record that is free stays so when a thread ends that was about to begin its turn', () => {
  const [table, living, dying] = createViews();
  const slot = living.acquire(SERVICE);
  living.release(slot);
  // As a packet does that was posted when the record had a session.
  Atomics.compareExchange(dying.words, dying.at(slot) + Field.Turn, 0, dying.self);
  recover(table);
  expect(tableInUse(table)).toEqual(nothing);
  expect(takeAll(table)).toEqual([-1, 0, 1, 2, 3]);
});

test('a record that is free is not lost when another thread ends while it changes the list', () => {
  const [table, living, dying] = createViews();
  const slot = dying.acquire(SERVICE);
  dying.release(slot);
  Atomics.compareExchange(living.words, living.at(slot) + Field.Turn, 0, living.self);
  dying.words[FREE_LOCK] = dying.self;
  recover(table);
  Atomics.compareExchange(living.words, living.at(slot) + Field.Turn, living.self, 0);
  expect(tableInUse(table)).toEqual(nothing);
  expect(takeAll(table)).toEqual([-1, 0, 1, 2, 3]);
});

test('a record that a thread had taken, and not opened, comes back when that ends', () => {
  const [table, , dying] = createViews();
  dying.acquire(SERVICE);
  expect(tableInUse(table)).toMatchObject({ records: 1, sessions: 1 });
  recover(table);
  expect(tableInUse(table)).toEqual(nothing);
  expect(takeAll(table)).toEqual([-1, 0, 1, 2, 3]);
});
