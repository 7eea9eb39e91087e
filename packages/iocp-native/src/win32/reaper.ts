// Gives back to the system the resources of a thread that has ended. The kernel may write to the thread's memory until the last
// packet of its operations: so the ports are drained before the memory is freed. If that takes too long, it is not freed.

import type { LeftOver } from '../contract/driver.js';
import { viewOf } from '../native/koffi.js';
import { Owned, type OwnedRecord } from '../native/ledger.js';
import { MEM_RELEASE } from './constants.js';
import { ENTRIES_SIZE, Key } from './kernel-queue.js';
import { CloseHandle, GetQueuedCompletionStatusEx, VirtualFree } from './kernel32.js';
import { ENTRIES, OVERLAPPED_ENTRY, PAGE } from './layout.js';
import { closesocket } from './ws2_32.js';

/** Milliseconds that the kernel has to end the operations of closed sockets. The caller waits for that. */
const PATIENCE = 1000;
const SLICE = 100;

export function reap(records: readonly OwnedRecord[], left: LeftOver): void {
  const of = (kind: Owned) => records.filter((record) => record.kind === kind);
  for (const { value: key, detail: bytes } of of(Owned.Post)) left(key, bytes);
  const queues = of(Owned.Queue).map(({ value, detail }) => new DeadPort(value, detail, left));
  // closesocket() fails for an end of a pipe and for a file.
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
    const words = new Uint32Array(viewOf(page, PAGE.size));
    this.#pendingPackets = words[PAGE.pendingPackets]!;
    // Packets that the kernel had brought, and that the thread did not look at.
    const address = words[PAGE.entries + 1]! * 0x100000000 + words[PAGE.entries]!;
    if (address !== 0) this.#takeLeft(Buffer.from(viewOf(address, ENTRIES_SIZE)));
  }

  /** Waits for the pending packets, and closes the port. False when some did not come in time. */
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

  /** The count is valid only when the entries were written, too: entries that were not have Key.None. */
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
