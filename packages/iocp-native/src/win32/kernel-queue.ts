// The kernel's completion port: its HANDLE, the packets that come out of it, and the needs of a call that starts an operation
// before and after it.
//
// The completion key of a socket is two words:
//   low: its slot in the table of sockets   high: the generation of that slot
// Two keys whose low word is the number of no slot are the port's own: see Key.

import assert from 'node:assert';
import type { IocpError } from '../contract/errors.js';
import type { Overlapped } from '../contract/port.js';
import { disown, Owned, own } from '../native/ledger.js';
import type { NativeBlock } from '../native/memory.js';
import * as c from './constants.js';
import { win32Error, win32PacketError } from './errors.js';
import { CloseHandle, CreateIoCompletionPort, GetLastError, GetQueuedCompletionStatusEx } from './kernel32.js';
import { ENTRIES, OVERLAPPED, OVERLAPPED_ENTRY, PAGE } from './layout.js';
import type { Win32Socket } from './socket.js';

/** Completion keys of packets that belong to no socket. */
export const Key = {
  /** Posted by another thread: the post's key is in lpOverlapped. */
  Post: 0xffffffff,
  /** Never queued: marks an OVERLAPPED_ENTRY that was taken, or that the kernel has not written. */
  None: 0xfffffffe,
} as const;

/** Bytes of the block of entries: their count follows the last. */
export const ENTRIES_SIZE = ENTRIES * OVERLAPPED_ENTRY.size + 4;
/** Milliseconds that one call waits at most: worker.terminate() and process.exit() wait for it. */
const SLICE = 1000;
const ENTRY_WORDS = OVERLAPPED_ENTRY.size >> 2;
const COUNT = ENTRIES * ENTRY_WORDS;

export class KernelQueue {
  readonly handle: number;
  /** The port's own page: see PAGE. */
  readonly page: NativeBlock;
  /** The OVERLAPPED_ENTRYs that take() has brought, in words. */
  readonly entries: Uint32Array;
  readonly #entriesAddress: number;
  readonly #dequeueEx = GetQueuedCompletionStatusEx.bound();

  /** @param entries memory of ENTRIES_SIZE bytes. */
  constructor(page: NativeBlock, entries: NativeBlock) {
    this.page = page;
    this.entries = entries.words;
    this.#entriesAddress = entries.address;
    for (let i = 0; i < ENTRIES; i++) this.entries[i * ENTRY_WORDS] = Key.None;
    page.words[PAGE.entries] = entries.address;
    page.words[PAGE.entries + 1] = Math.floor(entries.address / 0x100000000);
    this.handle = CreateIoCompletionPort(c.INVALID_HANDLE_VALUE, 0, 0, c.ONE_READER);
    if (this.handle === 0) throw win32Error('open a port', 'CreateIoCompletionPort', GetLastError());
    own(Owned.Queue, this.handle, page.address);
  }

  /** Packets that the kernel has still to bring. */
  get pendingPackets(): number {
    return this.page.words[PAGE.pendingPackets]!;
  }

  /** Associates a handle with the port, under the key of a socket. False on failure, with GetLastError(). */
  associate({ index, generation }: Win32Socket, handle: number): boolean {
    return CreateIoCompletionPort(handle, this.handle, generation * 2 ** 32 + index, 0) !== 0;
  }

  /** Clears an event's OVERLAPPED for a call that starts an operation, whose outcome() follows. Gives its address. */
  prepare(event: Overlapped): number {
    this.page.words[PAGE.pendingPackets]!++;
    const { words } = event.block;
    const at = event.offset >> 2;
    words.fill(0, at, at + (OVERLAPPED.size >> 2));
    return addressOf(event);
  }

  /**
   * The result of a prepared operation. ERROR_IO_PENDING: its packet comes. 0: it is done, and no packet comes. Any other
   * number: it has failed, and no packet comes.
   *
   * @param errno the error number of the call that started it; 0 when that succeeded.
   * @param skips whether a success at once has no packet.
   */
  outcome(errno: number, skips: boolean): number {
    if (errno === c.ERROR_IO_PENDING || (errno === 0 && !skips)) return c.ERROR_IO_PENDING;
    this.packetTaken();
    return errno;
  }

  /** One packet less is to come from the kernel. */
  packetTaken(): void {
    this.page.words[PAGE.pendingPackets]!--;
  }

  /**
   * Takes up to `most` packets into `entries`, and gives their number. Waits for `timeout` milliseconds, but no longer than
   * a slice; -1 is for ever.
   */
  take(most: number, timeout: number): number {
    const address = this.#entriesAddress;
    const wait = timeout < 0 ? SLICE : Math.min(Math.ceil(timeout), SLICE);
    if (this.#dequeueEx(this.handle, address, Math.min(most, ENTRIES), address + COUNT * 4, wait, 0) !== 0) {
      return this.entries[COUNT]!;
    }
    const errno = GetLastError();
    if (errno !== c.WAIT_TIMEOUT) throw win32Error('dequeue packets', 'GetQueuedCompletionStatusEx', errno);
    return 0;
  }

  close(): void {
    disown(Owned.Queue, this.handle);
    const result = CloseHandle(this.handle);
    assert(result !== 0, 'CloseHandle failed on a port');
  }
}

/** The address of an event's OVERLAPPED. */
export function addressOf({ block, offset }: Overlapped): number {
  return block.address + offset;
}

/** The NTSTATUS that the kernel left in an event. */
export function statusOf({ block, offset }: Overlapped): number {
  return block.words[(offset + OVERLAPPED.Internal) >> 2]!;
}

/** The error of an operation that was canceled. */
export function canceled(action: string, syscall: string): IocpError {
  return win32PacketError(action, syscall, c.ERROR_OPERATION_ABORTED);
}
