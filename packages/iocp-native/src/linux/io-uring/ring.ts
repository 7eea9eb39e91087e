// One io_uring: its two rings mapped into JavaScript, so that an operation costs no call. The functions of submissions.ts fill the
// submission queue, enter() hands it to the kernel and waits, completions are read in place:
//
//   for (let head = ring.cqHead; head !== ring.cqTail(); head = (head + 1) >>> 0) {
//     const at = ring.cqe(head);          // ring.cqes[at...at+3]: user_data low, high, result, flags
//   }
//   ring.advance(head);
//
// A ring belongs to the thread that made it (IORING_SETUP_SINGLE_ISSUER). It has a page of its own, which describes it to the
// thread that reaps it after the end of its own (see dead-ring.ts):
//
//   0   struct __kernel_timespec (16 bytes), then the struct io_uring_getevents_arg (24) that points to it
//   64  struct io_uring_params   192  the address of the mapped rings (8)

import { IocpError } from '../../contract/errors.js';
import { viewOf } from '../../native/koffi.js';
import { disown, Owned, own } from '../../native/ledger.js';
import { EAGAIN, EBUSY, EINTR, ETIME, linuxError, ringError } from '../errors.js';
import {
  CQ_FLAG,
  CQE_WORDS,
  ENTER,
  FEATURE,
  OFFSET_SQES,
  PARAMS,
  REGISTER,
  SETUP,
  SQ_FLAG,
  SQE_WORDS,
} from '../layout.js';
import {
  bindEnter,
  check,
  close,
  type Enter,
  errno,
  io_uring_register,
  io_uring_setup,
  mmap,
  SYS_io_uring_enter,
} from '../libc.js';
import { linuxMemory, PROT_READ_WRITE, unmap } from '../memory.js';
import { waitFlags } from './wait-flags.js';

export const PAGE = { size: 4096, wait: 0, params: 64, rings: 192 } as const;
/** In the wait's part: the argument, and in that the pointer to the timespec. */
const WAIT_ARGUMENT = 16;
const WAIT_TS = 32;
const MAP_SHARED_POPULATE = 0x1 | 0x8000;
const NEEDED_FEATURES = FEATURE.SINGLE_MMAP | FEATURE.NODROP | FEATURE.EXT_ARG;
const SETUP_FLAGS = SETUP.CQSIZE | SETUP.CLAMP | SETUP.TASKRUN_FLAG | SETUP.SINGLE_ISSUER;
// How often a full submission queue is offered to a kernel that takes nothing.
const FLUSH_TRIES = 1000;

/** When the kernel finishes an operation whose socket became ready: a flag of io_uring_setup(2). */
export const TaskRun = {
  /**
   * When the ring's thread next enters or leaves the kernel; a wait of that thread, in any system call, ends with EINTR for
   * it. The ring's eventfd is signalled at once.
   */
  Coop: SETUP.COOP_TASKRUN,
  /**
   * In the thread's next io_uring_enter(). It costs less. Some kernels signal the ring's eventfd late, or once only (see
   * task-run.ts, which chooses).
   */
  Defer: SETUP.DEFER_TASKRUN,
} as const;
export type TaskRun = (typeof TaskRun)[keyof typeof TaskRun];

/**
 * An io_uring(7), mapped into JavaScript: entries are written and read in place. It belongs to the thread that made it
 * (IORING_SETUP_SINGLE_ISSUER): everything here is called there.
 */
export class Ring {
  /** The ring's descriptor. */
  readonly fd: number;
  /** The submission entries, SQE_WORDS words each. Empty once the ring is closed, as are the completions. */
  sqes: Int32Array;
  /** The completion entries, CQE_WORDS words each. */
  cqes: Int32Array;
  /** The first completion that has not been consumed. */
  cqHead: number;

  readonly #enter: Enter;
  readonly #waitFlags: number;
  #words: Uint32Array;
  readonly #sqHead32: number;
  readonly #sqTail32: number;
  readonly #sqFlags32: number;
  readonly #sqMask: number;
  readonly #cqHead32: number;
  readonly #cqTail32: number;
  readonly #cqFlags32: number;
  readonly #cqMask: number;
  readonly #maps: { readonly address: number; readonly size: number }[] = [];
  /** The timespec of a wait. */
  #waitWords: Uint32Array;
  readonly #waitAddress: number;
  #sqTail: number;
  #submitted: number;
  #closed = false;

  /**
   * Throws an IocpError: ENOSYS or EPERM where io_uring is missing or forbidden, EINVAL before Linux 6.0, ENOMEM where
   * RLIMIT_MEMLOCK leaves no room for so many entries.
   */
  constructor(entries: number, cqEntries: number, taskRun: TaskRun = TaskRun.Coop) {
    const page = linuxMemory.map(PAGE.size);
    const view = linuxMemory.view(page, PAGE.size);
    const params = Buffer.from(view, PAGE.params, PARAMS.size);
    params.writeUInt32LE(cqEntries, PARAMS.cqEntries);
    params.writeUInt32LE(SETUP_FLAGS | taskRun, PARAMS.flags);
    this.fd = io_uring_setup(entries, params);
    if (this.fd < 0) {
      const error = ringError('set up an io_uring', 'io_uring_setup', errno());
      unmap(page, PAGE.size);
      throw error;
    }
    own(Owned.Queue, this.fd, page);
    this.#maps.push({ address: page, size: PAGE.size });
    this.#waitAddress = page + PAGE.wait;
    this.#waitWords = new Uint32Array(view, PAGE.wait, 4);
    Buffer.from(view).writeBigUInt64LE(BigInt(this.#waitAddress), PAGE.wait + WAIT_TS);
    this.#words = new Uint32Array(0);
    this.sqes = new Int32Array(0);
    this.cqes = this.sqes;
    try {
      const at = (offset: number) => params.readUInt32LE(offset);
      if ((at(PARAMS.features) & NEEDED_FEATURES) !== NEEDED_FEATURES) {
        throw new IocpError('set up an io_uring', 'the kernel lacks features', 'ENOTSUP', 'io_uring_setup');
      }
      this.#waitFlags = waitFlags(at(PARAMS.features));
      const map = (size: number, offset: number): ArrayBuffer => {
        const address = mmap(0, size, PROT_READ_WRITE, MAP_SHARED_POPULATE, this.fd, offset);
        this.#maps.push({ address: check(address, 'map an io_uring', 'mmap'), size });
        own(Owned.Block, address, size);
        if (offset === 0) Buffer.from(view).writeBigUInt64LE(BigInt(address), PAGE.rings);
        return viewOf(address, size);
      };
      const sqEntries = at(PARAMS.sqEntries);
      const cqCount = at(PARAMS.cqEntries);
      const rings = map(Math.max(at(PARAMS.sqArray) + sqEntries * 4, at(PARAMS.cqCqes) + cqCount * 16), 0);
      this.#words = new Uint32Array(rings);
      this.sqes = new Int32Array(map(sqEntries * 64, OFFSET_SQES));
      this.cqes = new Int32Array(rings, at(PARAMS.cqCqes), cqCount * CQE_WORDS);
      this.#sqMask = sqEntries - 1;
      this.#cqMask = cqCount - 1;
      this.#sqHead32 = at(PARAMS.sqHead) >> 2;
      this.#sqTail32 = at(PARAMS.sqTail) >> 2;
      this.#sqFlags32 = at(PARAMS.sqFlags) >> 2;
      this.#cqHead32 = at(PARAMS.cqHead) >> 2;
      this.#cqTail32 = at(PARAMS.cqTail) >> 2;
      this.#cqFlags32 = at(PARAMS.cqFlags) >> 2;
      // The indirection array stays the identity: entry i of the ring is submission entry i.
      for (let i = 0; i < sqEntries; i++) this.#words[(at(PARAMS.sqArray) >> 2) + i] = i;
      this.#sqTail = this.#words[this.#sqTail32]!;
      this.#submitted = this.#sqTail;
      this.cqHead = this.#words[this.#cqHead32]!;
      this.#enter = bindEnter();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Entries that the kernel has not been given yet. */
  get unsubmitted(): number {
    return (this.#sqTail - this.#submitted) | 0;
  }

  /** The kernel has completions to deliver, for which enter() must be called. */
  get needsEnter(): boolean {
    return (Atomics.load(this.#words, this.#sqFlags32) & (SQ_FLAG.TASKRUN | SQ_FLAG.CQ_OVERFLOW)) !== 0;
  }

  /**
   * Takes the next submission entry, and gives its place in `sqes`. Its fields must be written before the next call of this
   * ring: see submissions.ts. A full queue is handed to the kernel first, so that an entry is never lost.
   */
  nextEntry(): number {
    if (((this.#sqTail - this.#submitted) | 0) > this.#sqMask) this.#flush();
    const at = (this.#sqTail & this.#sqMask) * SQE_WORDS;
    this.#sqTail = (this.#sqTail + 1) >>> 0;
    return at;
  }

  /**
   * io_uring_enter(2): submits everything, and waits up to `timeout` milliseconds (0: not at all, -1: for ever) for one
   * completion. Ends early on a signal. Throws an IocpError when the kernel refuses.
   */
  enter(timeout: number): void {
    Atomics.store(this.#words, this.#sqTail32, this.#sqTail);
    const pending = (this.#sqTail - this.#submitted) | 0;
    let result: number;
    if (timeout > 0) {
      const words = this.#waitWords;
      words[0] = Math.floor(timeout / 1000);
      words[2] = Math.floor((timeout % 1000) * 1e6);
      const flags = this.#waitFlags | ENTER.EXT_ARG;
      result = this.#enter(SYS_io_uring_enter, this.fd, pending, 1, flags, this.#waitAddress + WAIT_ARGUMENT, 24);
    } else {
      result = this.#enter(SYS_io_uring_enter, this.fd, pending, timeout === 0 ? 0 : 1, this.#waitFlags, 0, 8);
    }
    this.#submitted = Atomics.load(this.#words, this.#sqHead32);
    if (result >= 0) return;
    const code = errno();
    if (code !== EINTR && code !== ETIME && code !== EAGAIN && code !== EBUSY) {
      throw linuxError('enter an io_uring', 'io_uring_enter', code);
    }
  }

  /** One past the last completion that the kernel has published. */
  cqTail(): number {
    return Atomics.load(this.#words, this.#cqTail32);
  }

  /** Where in `cqes` a completion starts. */
  cqe(index: number): number {
    return (index & this.#cqMask) * CQE_WORDS;
  }

  /** Gives consumed completions back to the kernel. */
  advance(head: number): void {
    this.cqHead = head;
    Atomics.store(this.#words, this.#cqHead32, head);
  }

  /** Whether the registered eventfd is signalled for completions. */
  set eventfdEnabled(on: boolean) {
    Atomics.store(this.#words, this.#cqFlags32, on ? 0 : CQ_FLAG.EVENTFD_DISABLED);
  }

  /** The kernel will signal this eventfd for completions. Throws an IocpError. */
  registerEventfd(fd: number): void {
    const argument = Buffer.alloc(4);
    argument.writeInt32LE(fd, 0);
    check(io_uring_register(this.fd, REGISTER.EVENTFD, argument, 1), 'register an eventfd', 'io_uring_register');
  }

  /** Closes the ring, then unmaps it. Operations in flight must have been drained. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // No view may outlive its mapping: a late access finds an empty array, not a crash.
    this.cqes = new Int32Array(0);
    this.sqes = this.cqes;
    this.#words = new Uint32Array(0);
    this.#waitWords = this.#words;
    disown(Owned.Queue, this.fd);
    check(close(this.fd), 'close an io_uring', 'close');
    for (const { address, size } of this.#maps) unmap(address, size);
  }

  #flush(): void {
    for (let tries = 0; this.unsubmitted > this.#sqMask; tries++) {
      if (tries === FLUSH_TRIES) {
        throw new IocpError('start an operation', 'the kernel takes no more submissions', 'ENOBUFS', 'io_uring_enter');
      }
      this.enter(0);
    }
  }
}
