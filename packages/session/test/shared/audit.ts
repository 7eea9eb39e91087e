// Counts what a shared port has in use, in its memory: records, blocks, locks, slots. Nothing of it may be left when all is over.

import type { Core } from '@overlapped/net-core/internal';
import { Field, MOST_SERVICES, ServiceField, type SharedTable } from '../../src/shared/table.js';

/** The words of PortMemory (iocp-native), from its header's and its records' layout. */
const Port = { Lock: 0, Limit: 4, Holders: 5, Coming: 6, Waiting: 7, Watching: 8, Records: 10, Blocked: 11 };
const PORT_RECORDS = 16;
const PORT_RECORD_WORDS = 16;
const [BLOCKED, COMING, RUNNING, WAITING, WATCHING] = [1, 2, 3, 4, 5];

interface Host {
  readonly table: SharedTable;
  /** A port of the kernel has no memory of slots. */
  readonly port: { readonly memory?: { readonly words: Int32Array } };
}

export interface InUse {
  /** Records that serve a session, and sessions that are counted. */
  readonly records: number;
  readonly sessions: number;
  /** Records that are in use no longer, and that the list of free ones lacks, or has twice. */
  readonly lostRecords: number;
  /** Blocks that have an owner. */
  readonly blocks: number;
  /** Bytes that are counted as queued. */
  readonly queued: number;
  /** Locks of records, of services, of the table and of the port that are held. */
  readonly locks: number;
  /** What the port's header says, less what the states of its threads come to; and slots beyond the limit. */
  readonly miscounted: number;
  readonly excess: number;
}

/** What the tables of a core's shared port have in use. */
export function inUse(core: Core): InUse {
  const { table, port } = core.sharedSessions as unknown as Host;
  const slots = port.memory ? slotsInUse(port.memory.words) : { miscounted: 0, excess: 0 };
  return { ...tableInUse(table), ...slots };
}

export function tableInUse(table: SharedTable) {
  const { words } = table;
  const slots = Array.from({ length: table.used }, (_, slot) => slot);
  const isUsed = (slot: number) =>
    words[table.at(slot) + Field.Turn] !== 0 || words[table.at(slot) + Field.Flags] !== 0;
  const free: number[] = [];
  for (
    let slot = words[1]! - 1;
    slot >= 0 && free.length <= slots.length;
    slot = words[table.at(slot) + Field.Next]! - 1
  ) {
    free.push(slot);
  }
  const records = slots.filter(isUsed).length;
  const services = Array.from({ length: MOST_SERVICES }, (_, service) => table.serviceAt(service));
  const held = [
    0,
    ...services.map((at) => at + ServiceField.Lock),
    ...slots.map((slot) => table.at(slot) + Field.Lock),
  ].filter((at) => words[at] !== 0);
  // Behind the records: a count, and the owner of each block.
  const owners = table.at(table.token.records) + 1;
  const blocks = words.subarray(owners, owners + table.token.blocks);
  return {
    records,
    sessions: services.reduce((sum, at) => sum + words[at + ServiceField.Sessions]!, 0),
    lostRecords: Math.abs(slots.length - records - free.length) + free.filter(isUsed).length,
    blocks: blocks.filter((owner) => owner !== 0).length,
    queued: table.queuedInAll,
    locks: held.length,
  };
}

export function slotsInUse(words: Int32Array) {
  const states = Array.from({ length: words[Port.Records]! }, (_, i) => PORT_RECORDS + i * PORT_RECORD_WORDS)
    .filter((record) => words[record] !== 0)
    .map((record) => words[record + 1]!);
  const count = (...wanted: (number | undefined)[]) => states.filter((state) => wanted.includes(state)).length;
  const miscounted =
    Math.abs(words[Port.Holders]! - count(COMING, RUNNING)) +
    Math.abs(words[Port.Coming]! - count(COMING)) +
    Math.abs(words[Port.Waiting]! - count(WAITING, WATCHING)) +
    Math.abs(words[Port.Watching]! - count(WATCHING)) +
    Math.abs(words[Port.Blocked]! - count(BLOCKED)) +
    (words[Port.Lock] !== 0 ? 1 : 0);
  return { miscounted, excess: Math.max(0, words[Port.Holders]! - words[Port.Limit]!) };
}
