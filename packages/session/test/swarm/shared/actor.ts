// A thread of the simulated shared port: the product's SharedThread, over a port and sockets of the simulated kernel. Its slots are
// those of the product (PortMemory), on virtual time. Where a real thread waits, this one is not on the stack; where a real thread is
// interrupted, or blocks, others run on top of it.

import { IocpError } from '@overlapped/iocp-native';
import {
  type PortMemory,
  PortState,
  type SharedSockets,
  Sleep,
  type SocketPort,
  WOULD_BLOCK,
} from '@overlapped/iocp-native/internal';
import { HELD_WORDS, Held } from '../../../src/shared/protocol.js';
import { SharedThread } from '../../../src/shared/shared-thread.js';
import type { SharedTable } from '../../../src/shared/table.js';
import type { Kernel } from './kernel.js';
import type { SharedRun } from './run.js';

/** Milliseconds between two looks of the thread that watches. */
const WATCH = 0.25;
const LISTENER = 0xfffffffe;

/** Unwinds the stack of a thread that ends. Each call that it would make then throws this again. */
export class Death extends Error {}

/** What all threads, and the core's own one, do with the simulated kernel. */
export class SimulatedPort implements SocketPort {
  low = 0;
  high = 0;
  ready = 0;
  readonly sent = 0;
  readonly memory: PortMemory;
  readonly #kernel: Kernel;
  readonly #run: SharedRun;

  constructor(run: SharedRun, memory: PortMemory) {
    this.#run = run;
    this.#kernel = run.kernel;
    this.memory = memory;
  }

  get closed(): boolean {
    return this.memory.closed;
  }

  wait(): boolean {
    throw new Error('the run takes the packets');
  }

  waitForLoop(): void {}
  done(): void {}
  leave(): void {}
  close(): void {}
  release(): void {}
  hold(): void {}
  unlisten(): void {}

  loopDue(): boolean {
    return true;
  }

  idle(): boolean {
    return true;
  }

  post(low: number, high: number): boolean {
    const { memory } = this;
    memory.lock(true);
    const pushed = memory.push(low, high);
    if (pushed) memory.dispatch();
    memory.unlock();
    this.#run.point();
    if (pushed) this.#kernel.ring();
    this.#run.kick();
    return pushed;
  }

  wake(fd: number, slot: number, generation: number): void {
    this.arm(fd, 5, slot, generation);
  }

  listen(fd: number, service: number): number {
    return this.#kernel.add(fd, 1, LISTENER, service);
  }

  armListener(fd: number, service: number): number {
    return this.#call(() => this.#kernel.arm(fd, 1, LISTENER, service));
  }

  hasBacklog(fd: number): boolean {
    return (this.#kernel.sockets.get(fd)?.backlog.length ?? 0) > 0;
  }

  accept(listener: number, into: Int32Array): number {
    if (listener < 0) return -WOULD_BLOCK;
    return this.#call(() => {
      into[0] = this.#kernel.accept(listener);
      return into[0];
    });
  }

  add(fd: number, slot: number, generation: number): number {
    return this.#call(() => this.#kernel.add(fd, 0, slot, generation));
  }

  arm(fd: number, ready: number, slot: number, generation: number): number {
    return this.#call(() => this.#kernel.arm(fd, ready, slot, generation));
  }

  recover(threadId: number): void {
    this.memory.recover(threadId);
    this.#run.kick();
  }

  #call(call: () => number): number {
    this.#run.point();
    const result = call();
    this.#run.point();
    return result;
  }
}

export class SimulatedSockets implements SharedSockets {
  readonly received: Buffer;
  readonly #run: SharedRun;

  constructor(run: SharedRun, size: number) {
    this.#run = run;
    this.received = Buffer.alloc(size);
  }

  receive(fd: number): number {
    return this.#call(() => this.#run.kernel.receive(fd, this.received));
  }

  send(fd: number, bytes: Uint8Array, length: number): number {
    return this.#call(() => this.#run.kernel.send(fd, bytes.subarray(0, length)));
  }

  sendBlock(fd: number, block: { readonly bytes: Buffer }, offset: number, length: number): number {
    return this.#call(() => this.#run.kernel.send(fd, block.bytes.subarray(offset, offset + length)));
  }

  end(fd: number): void {
    this.#call(() => this.#run.kernel.end(fd));
  }

  close(fd: number, reset: boolean): void {
    this.#call(() => this.#run.kernel.close(fd, reset));
  }

  mark(fd: number): number {
    return this.#run.kernel.mark(fd);
  }

  endpoint(): never {
    throw new IocpError('tell an endpoint', 'there is none', 'ENOTCONN', 'getpeername');
  }

  error(action: string, syscall: string, errno: number): IocpError {
    return new IocpError(action, `error ${errno}`, errno === 104 ? 'ECONNRESET' : `E${errno}`, syscall);
  }

  #call<T>(call: () => T): T {
    this.#run.point();
    const result = call();
    this.#run.point();
    return result;
  }
}

export class Actor {
  readonly id: number;
  readonly memory: PortMemory;
  readonly port: SimulatedPort;
  readonly thread: SharedThread;
  readonly held = new Int32Array(HELD_WORDS).fill(-1);
  readonly #run: SharedRun;
  readonly #record: number;
  readonly #packet = { key: 0, bytes: 0 };
  /** What it does: waits in the line for a slot, waits in the kernel, is on its way out of a wait, or works. */
  state: 'line' | 'kernel' | 'coming' | 'busy' | 'dead' = 'coming';
  /** A handler blocks. */
  blocked = false;
  /** Points until it ends; 0: never. */
  doom = 0;

  constructor(run: SharedRun, id: number, memory: PortMemory, table: SharedTable, received: number) {
    this.id = id;
    this.#run = run;
    this.memory = memory;
    this.port = new SimulatedPort(run, memory);
    this.held[Held.Mark] = 0;
    const sockets = new SimulatedSockets(run, received);
    this.thread = new SharedThread(table, this.port, sockets, this.held, async () => {}, run.serviceOf);
    memory.lock(true);
    this.#record = memory.join({ stat: -1, call: -1, futex: 0 });
    memory.unlock();
  }

  get record(): number {
    return this.#record;
  }

  /** A thread that waits for its slot finds that its state has changed. */
  get called(): boolean {
    const state = this.memory.state(this.#record);
    return this.state === 'line' && state !== PortState.Waiting && state !== PortState.Watching;
  }

  get watches(): boolean {
    return this.state === 'line' && this.memory.state(this.#record) === PortState.Watching;
  }

  /** Asks for the next packet, as wait() does. */
  seek(): void {
    const { memory } = this;
    const record = this.#record;
    if (memory.shouldLook) this.look();
    memory.lock(true);
    if (!memory.acquire(record)) {
      memory.lineUp(record);
      memory.dispatch();
      memory.unlock();
      this.state = 'line';
      this.#run.kick();
    } else if (memory.take(record, this.#packet)) {
      const more = memory.queued > 0 && memory.expectsThread;
      memory.dispatch();
      memory.unlock();
      if (more) this.#run.kernel.ring();
      const { key, bytes } = this.#packet;
      this.#serve(key, bytes, 0);
    } else {
      memory.move(record, PortState.Coming);
      memory.dispatch();
      memory.unlock();
      this.state = 'kernel';
      this.#run.waiters.push(this);
      this.#run.kick();
    }
  }

  /** Leaves the wait in the kernel with the oldest event, if that is there still. */
  takeEvent(): void {
    const { memory } = this;
    const event = this.#run.kernel.take();
    if (event === null) {
      this.seek();
      return;
    }
    memory.lock(true);
    memory.begin(this.#record);
    memory.move(this.#record, PortState.Running);
    memory.dispatch();
    memory.unlock();
    this.#serve(event.low, event.high, event.ready);
  }

  /** Looks what the threads that work are doing. */
  look(): void {
    const { memory } = this;
    const seen = memory.workers().map((worker) => ({ worker, asleep: this.#run.isBlocked(worker.record) }));
    memory.lock(true);
    for (const { worker, asleep } of seen) memory.saw(worker, asleep ? Sleep.Blocked : Sleep.Awake);
    if (memory.state(this.#record) === PortState.Watching && !memory.needsWatch) {
      memory.move(this.#record, PortState.Waiting);
    }
    memory.dispatch();
    memory.unlock();
    this.#run.kick();
  }

  /** Looks now and then, as long as it is the thread that watches. */
  watch(): void {
    const again = () => {
      if (!this.watches) {
        this.#watching = false;
        return;
      }
      this.#run.as(this, () => this.look());
      this.#run.clock.setTimeout(again, WATCH);
    };
    if (this.#watching) return;
    this.#watching = true;
    this.#run.clock.setTimeout(again, WATCH);
  }

  #watching = false;

  #serve(low: number, high: number, ready: number): void {
    this.state = 'busy';
    this.#run.kick();
    this.port.low = low >>> 0;
    this.port.high = high >>> 0;
    this.port.ready = ready;
    this.#run.checkSlots();
    this.thread.dispatch();
    this.state = 'coming';
    this.#run.seekSoon(this);
  }
}
