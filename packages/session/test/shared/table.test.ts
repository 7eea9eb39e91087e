// The records of shared sessions, and a thread that ends: while a late packet has it look at a record that is free, or with the packet of
// a listening socket.

import type { SharedSockets, SocketPort } from '@overlapped/iocp-native/internal';
import { expect, test } from 'vitest';
import { SharedHost } from '../../src/shared/host.js';
import { goOn, recoverThread } from '../../src/shared/lost-thread.js';
import { HELD_WORDS } from '../../src/shared/protocol.js';
import { blocksSize, createTable, Due, Field, Flag, ServiceField, SharedTable } from '../../src/shared/table.js';
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

/** @param armed gets the listening sockets that are armed */
function hostOf(table: SharedTable, armed: number[] = []): SharedHost {
  const armListener = (fd: number) => {
    armed.push(fd);
    return 0;
  };
  const port = { recover() {}, armListener } as unknown as SocketPort;
  return new SharedHost(table, port, { mark: () => 0 } as unknown as SharedSockets);
}

const recover = (table: SharedTable, host = hostOf(table), services: readonly number[] = []) =>
  recoverThread(host, DYING, new Int32Array(HELD_WORDS).fill(-1), services, () => {});

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

test('a listening socket whose packet was lost is armed also if a late thread has its lock meanwhile', () => {
  const [table, living] = createViews();
  table.words[table.serviceAt(SERVICE) + ServiceField.Listener] = 7 + 1;
  const armed: number[] = [];
  const host = hostOf(table, armed);
  const lock = living.serviceLock(SERVICE);
  expect(lock.lock(0)).toBe(true);
  expect([recover(table, host, [SERVICE]), goOn(host, [SERVICE]), armed]).toEqual([false, false, []]);
  lock.unlock();
  expect([goOn(host, [SERVICE]), armed]).toEqual([true, [7]]);
});

test('a session that has lost its socket is posted again until the port takes it', () => {
  const [table, living] = createViews();
  const slot = living.acquire(SERVICE);
  table.words[table.at(slot) + Field.Flags] = Flag.Open | Flag.Closing;
  table.words[table.at(slot) + Field.Turn] = 0;
  table.words[table.at(slot) + Field.Pending] = Due.Close;
  const answers = [false, true];
  const posted: number[] = [];
  const post = (record: number) => {
    posted.push(record);
    return answers.shift();
  };
  const host = new SharedHost(table, { post } as unknown as SocketPort, {} as SharedSockets);
  expect([goOn(host, []), goOn(host, []), posted]).toEqual([false, true, [slot, slot]]);
});
