/// <reference lib="es2024.sharedmemory" />
// The ledger of a thread: the resources that its ports have taken from the system, in shared memory, so that another thread can
// give them back when this one has ended. A thread that keeps none records nothing.
//
// A head of one double, then records of three: its kind (0: none), and two numbers. They are read after the
// thread has ended.
//
// A thread can be terminated at any call and any loop. So a resource is recorded right after it is taken, and struck out right
// before it is given back: such an end costs a leak at most, and never a handle of another owner. The head is for the
// handle that a system call gives: to store it there takes no call, so not even that one is lost.

import assert from 'node:assert';

/** The kind of a record, and its two numbers. */
export const Owned = {
  None: 0,
  /** A descriptor, or a SOCKET. */
  Handle: 1,
  /** A descriptor whose close has been written into the ring; whether the kernel has seen it, the completions tell. */
  Closing: 2,
  /** The kernel's queue: a ring's descriptor or a port's HANDLE, and the address of the page that describes it. */
  Queue: 3,
  /** Mapped memory: address, size. */
  Block: 4,
  /** A posted packet that has left the queue, and that the thread has not served: key, bytes. See handed-posts.ts. */
  Post: 5,
  /** A context of Linux AIO: its id. */
  Context: 6,
} as const;
export type Owned = (typeof Owned)[keyof typeof Owned];

export interface OwnedRecord {
  readonly kind: Owned;
  readonly value: number;
  readonly detail: number;
}

const HEAD = 1;
const WIDTH = 3;
const FIRST_RECORDS = 1024;
/** Address space only: memory is taken as the ledger grows. Records beyond that are not kept. */
const MOST_RECORDS = 1 << 20;

/** The head: `taken[0] = systemCall()`, and then own(). */
export let taken: Float64Array = new Float64Array(HEAD);

let records: Float64Array | null = null;
/** Closes the handles of this thread when it ends, if the thread that started it does not. */
let keeper: HandleKeeper | null = null;
let used = HEAD;
const free: number[] = [];
/** Where things are recorded: handles by their number, blocks by their negated address. */
const places = new Map<number, number>();

/** Has handles closed when the thread ends. Each is told of as often as own() and disown() are called. */
export interface HandleKeeper {
  own(handle: number): void;
  disown(handle: number): void;
}

/** From now on handles and kernel queues are the keeper's, and not recorded. */
export function closeWithThread(newKeeper: HandleKeeper): void {
  keeper = newKeeper;
}

/** Whether another thread gives back the resources that this one leaves. */
export function keepsLedger(): boolean {
  return records !== null;
}

/** The ledgers that this thread has made. */
const made = new WeakSet<SharedArrayBuffer>();

/** Memory for the ledger of a thread, to be sent there for keepLedger(), and afterwards given, by the maker, to reap(). */
export function createLedger(): SharedArrayBuffer {
  const bytes = (count: number) => (HEAD + count * WIDTH) * Float64Array.BYTES_PER_ELEMENT;
  const memory = new SharedArrayBuffer(bytes(FIRST_RECORDS), { maxByteLength: bytes(MOST_RECORDS) });
  made.add(memory);
  return memory;
}

/** From now on this thread's ports record their resources. To be called before it opens its first port. */
export function keepLedger(memory: SharedArrayBuffer): void {
  assert(records === null, 'a thread keeps one ledger');
  taken = new Float64Array(memory, 0, HEAD);
  taken[0] = -1;
  records = new Float64Array(memory);
}

/** Records a resource that has been taken, unless it is recorded already. */
export function own(kind: Owned, value: number, detail = 0): void {
  if (keeper !== null && isHandle(kind)) keeper.own(value);
  if (records === null) return;
  const name = kind === Owned.Block ? -value : value;
  if (!places.has(name)) {
    const place = write(kind, value, detail);
    if (place >= 0) places.set(name, place);
  }
  if (kind === Owned.Handle) taken[0] = -1;
}

/** Strikes out a resource that is about to be given back, or has another owner now. */
export function disown(kind: Owned, value: number): void {
  if (keeper !== null && isHandle(kind)) keeper.disown(value);
  if (records === null) return;
  const name = kind === Owned.Block ? -value : value;
  const place = places.get(name);
  if (place === undefined) return;
  places.delete(name);
  strike(place);
}

/** A handle's close is under way: gives the place of its record, for strike(), or -1. Its number may soon serve anew. */
export function closing(handle: number): number {
  keeper?.disown(handle);
  const place = places.get(handle) ?? -1;
  if (place >= 0) {
    places.delete(handle);
    records![place] = Owned.Closing;
  }
  return place;
}

/** Records a resource without a number of its own. Gives its place, for strike(), or -1. */
export function write(kind: Owned, value: number, detail: number): number {
  if (records === null) return -1;
  let place = free.pop();
  if (place === undefined) {
    place = used;
    if (place === records.length && !grow(records)) return -1;
    used += WIDTH;
  }
  records[place + 1] = value;
  records[place + 2] = detail;
  records[place] = kind;
  return place;
}

/** A record becomes that of a handle. No call lies between its parts, so a thread that ends has done all of it or nothing. */
export function becomeHandle(place: number, handle: number): void {
  records![place + 1] = handle;
  records![place] = Owned.Handle;
  places.set(handle, place);
}

export function strike(place: number): void {
  if (place < 0) return;
  records![place] = Owned.None;
  free.push(place);
}

/** Asserts that this thread has made a ledger: the resources in it are closed and unmapped. */
export function checkLedger(memory: SharedArrayBuffer): void {
  assert(made.has(memory), 'a ledger that this thread has not made');
}

/** Takes all records out of the ledger of a thread that has ended. */
export function takeRecords(memory: SharedArrayBuffer): OwnedRecord[] {
  const words = new Float64Array(memory);
  const found: OwnedRecord[] = [];
  if (words[0]! > 0) found.push({ kind: Owned.Handle, value: words[0]!, detail: 0 });
  words[0] = -1;
  for (let at = HEAD; at < words.length; at += WIDTH) {
    const kind = words[at] as Owned;
    if (kind !== Owned.None) found.push({ kind, value: words[at + 1]!, detail: words[at + 2]! });
    words[at] = Owned.None;
  }
  return found;
}

function grow(words: Float64Array): boolean {
  const memory = words.buffer as SharedArrayBuffer;
  if (memory.byteLength === memory.maxByteLength) return false;
  const { BYTES_PER_ELEMENT } = words;
  const twice = (HEAD + (words.length - HEAD) * 2) * BYTES_PER_ELEMENT;
  memory.grow(Math.min(twice, memory.maxByteLength));
  return true;
}

function isHandle(kind: Owned): boolean {
  return kind === Owned.Handle || kind === Owned.Queue;
}
