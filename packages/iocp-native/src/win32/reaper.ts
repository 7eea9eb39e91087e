// Gives back what a thread that has ended left behind. The kernel may write into its memory until the last packet of its
// operations has come, so the ports are drained before that memory is freed; in doubt it is not.

import type { LeftOver } from '../contract/driver.js';
import { koffi } from '../native/koffi.js';
import { Owned, type OwnedRecord } from '../native/ledger.js';
import { MEM_RELEASE } from './constants.js';
import { Key } from './engine.js';
import { CloseHandle, GetQueuedCompletionStatusEx, VirtualFree } from './kernel32.js';
import { ENTRIES, OVERLAPPED_ENTRY, PAGE } from './layout.js';
import { closesocket } from './ws2_32.js';

/** Milliseconds that the kernel has for the operations of sockets that are closed. The caller waits for that. */
const PATIENCE = 1000;
const SLICE = 100;

export function reap(records: readonly OwnedRecord[], left: LeftOver): void {
  const of = (kind: Owned) => records.filter((record) => record.kind === kind);
  for (const { value: key, detail: bytes } of of(Owned.Post)) left(key, bytes);
  const queues = of(Owned.Queue).map(({ value, detail }) => new DeadPort(value, detail, left));
  // What is no socket is an end of a pipe.
  for (const handle of new Set(of(Owned.Handle).map(({ value }) => value))) {
    if (closesocket(handle) !== 0) CloseHandle(handle);
  }
  const until = performance.now() + PATIENCE;
  const drained = queues.map((queue) => queue.drain(until));
  if (drained.includes(false)) return;
  for (const { value: address } of of(Owned.Block)) VirtualFree(address, 0, MEM_RELEASE);
}

class DeadPort {
  readonly #port: number;
  readonly #left: LeftOver;
  /** Packets that the kernel still has to bring. */
  #pendingPackets: number;

  constructor(port: number, page: number, left: LeftOver) {
    this.#port = port;
    this.#left = left;
    const words = new Uint32Array(koffi().view(page, PAGE.size));
    this.#pendingPackets = words[PAGE.pendingPackets]!;
    // What the kernel had brought, and the thread never looked at.
    const address = words[PAGE.entries + 1]! * 0x100000000 + words[PAGE.entries]!;
    if (address !== 0) this.#takeLeft(Buffer.from(koffi().view(address, ENTRIES * OVERLAPPED_ENTRY.size + 4)));
  }

  /** Waits for what the kernel owes, and closes the port. False when that did not come. */
  drain(until: number): boolean {
    const entries = Buffer.alloc(ENTRIES * OVERLAPPED_ENTRY.size);
    const removed = Buffer.alloc(4);
    for (let more = true; more || (this.#pendingPackets > 0 && performance.now() < until); ) {
      const wait = this.#pendingPackets > 0 ? SLICE : 0;
      more = GetQueuedCompletionStatusEx(this.#port, entries, ENTRIES, removed, wait, 0) !== 0;
      if (more) this.#take(entries, removed.readUInt32LE());
    }
    CloseHandle(this.#port);
    return this.#pendingPackets === 0;
  }

  /** The count follows the entries. It means nothing unless the entries are there, too. */
  #takeLeft(entries: Buffer): void {
    const count = entries.readUInt32LE(ENTRIES * OVERLAPPED_ENTRY.size);
    if (count <= ENTRIES) this.#take(entries, count);
  }

  #take(entries: Buffer, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = i * OVERLAPPED_ENTRY.size;
      const key = entries.readUInt32LE(at + OVERLAPPED_ENTRY.lpCompletionKey);
      if (key === Key.Post) {
        const posted = Number(entries.readBigUInt64LE(at + OVERLAPPED_ENTRY.lpOverlapped));
        this.#left(posted, entries.readUInt32LE(at + OVERLAPPED_ENTRY.dwNumberOfBytesTransferred));
      } else if (key !== Key.None) {
        this.#pendingPackets--;
      }
    }
  }
}
