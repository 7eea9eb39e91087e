// One run of the swarm of shared sessions: the product's threads, table and slots as actors of one simulated port, on virtual time, in
// this one thread. At a point (points.ts) other threads may run on top of the one that is there, unless it is inside a lock; a
// handler that blocks does the same for some milliseconds. A thread that ends is unwound by an exception which each further point
// throws again. The run checks: one turn at a time, the order and the sum of the bytes, messages, slots, and what is left.

import assert from 'node:assert';
import { isIocpError } from '@overlapped/iocp-native';
import { PortMemory } from '@overlapped/iocp-native/internal';
import { createSimulation, type Random, type Simulation, type VirtualClock } from '@overlapped/iocp-native/testing';
import { fixedLength, SharedPacketSession, SharedSession, u32 } from '../../../src/index.js';
import { SharedHost } from '../../../src/shared/host.js';
import { recoverThread } from '../../../src/shared/lost-thread.js';
import type { HostedService } from '../../../src/shared/protocol.js';
import { SharedSweep } from '../../../src/shared/shared-sweep.js';
import { blocksSize, createTable, Field, Flag, Reason, ServiceField, SharedTable } from '../../../src/shared/table.js';
import { slotsInUse, tableInUse } from '../../shared/audit.js';
import { Actor, Death, SimulatedPort, SimulatedSockets } from './actor.js';
import { Kernel, type Socket } from './kernel.js';
import { byteAt, EVERYONE, frame, type Peer } from './peer.js';
import { type ActionName, drawShared, NO_WATERMARK, type OperationName, type SharedPlan } from './plan.js';
import { type Swap, watchAtomics } from './points.js';

const MOST_TIME = 20_000;
const MOST_STEPS = 40_000;
/** How deep threads run on top of each other, and tasks that run at one point. */
const DEEPEST = 6;
const MOST_AT_A_POINT = 4;
/** Milliseconds that an operation of a thread takes, and a wake-up. */
const STEP = 0.01;
const SERVICE = 0;
const ADDRESS = 2 ** 20;
const POSTS = 64;
const SLOT_RANGE = 2 ** 20;
/** The core's own thread. */
const MAIN = 0;
/** The core's thread, and all that are ever started. */
const MOST_THREADS = 128;
/** It as a sender: no session has this id. */
const CORE = 2 ** 52;

/** What a handler throws on purpose. */
class Planned extends Error {}

const CODES = new Set(['ECONNRESET', 'ENOBUFS', 'ECHILD', 'ETIMEDOUT']);
/** The group of all runs. */
const GROUP = 'group';

const state = { received: u32 };

/** What is known of one session. */
interface Model {
  readonly id: number;
  readonly peer: Peer;
  readonly socket: Socket;
  received: number;
  /** The thread that handles it. */
  busy: Actor | null;
  /** Its thread has ended in its turn. */
  lost: boolean;
  over: boolean;
  /** end(), destroy() or a failure: nothing more is taken. */
  ending: boolean;
  readonly numbers: Map<number, number>;
  readonly told: Map<number, number>;
  readonly heard: Map<number, number>;
  /** Those whose thread ended while they told something: whether that arrives is not known. */
  readonly unsure: Set<number>;
  /** It has joined the group; while that changes it is not known. */
  member: boolean | null;
  /** The broadcasts that it must get. */
  readonly due: Map<number, Set<number>>;
}

export interface SharedRunOptions {
  readonly trace?: ((line: string) => void) | undefined;
  readonly plant?: ((run: SharedRun) => void) | undefined;
}

export class SharedRun {
  readonly plan: SharedPlan;
  readonly simulation: Simulation;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly kernel: Kernel;
  readonly table: SharedTable;
  readonly main: SharedHost;
  readonly actors: Actor[] = [];
  /** Threads that wait in the kernel; the last one is woken first. */
  readonly waiters: Actor[] = [];
  /** For plants. */
  swap: Swap | undefined;
  onTable: (table: SharedTable) => void = () => {};
  onActor: (actor: Actor) => void = () => {};
  /** The clock of the timeouts. */
  sweepNow = () => this.clock.now();
  readonly #token;
  readonly #block;
  readonly #memory: PortMemory;
  /** The word of the lock of the groups. */
  readonly #groups: Int32Array;
  readonly #listener: Socket;
  readonly #models = new Map<number, Model>();
  readonly #peers: Peer[] = [];
  readonly #kind: new () => SharedSession;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #states: SharedArrayBuffer;
  #service: HostedService | undefined;
  #failure: { readonly error: unknown } | undefined;
  #current: Actor | null = null;
  #depth = 0;
  /** The core's thread recovers what a thread held: others may run at its points. */
  #recovers = false;
  #kicked = false;
  #threads = 0;
  #lost = 0;
  #blocks = 0;
  #budget = 60;
  #calm = false;
  #broadcasts = 0;

  constructor(seed: number, { trace, plant }: SharedRunOptions = {}) {
    const plan = drawShared(seed);
    this.plan = plan;
    this.#trace = trace;
    this.simulation = createSimulation({ seed });
    this.clock = this.simulation.clock;
    this.random = this.simulation.random;
    this.kernel = new Kernel(this.clock, this.random, plan);
    this.kernel.onReady = () => this.kick();
    this.#token = createTable(plan.maxSessions + 1, plan.blocks, ADDRESS, MOST_THREADS);
    this.#groups = new Int32Array(this.#token.groups, 0, 1);
    const bytes = Buffer.alloc(blocksSize(plan.blocks));
    this.#block = { bytes, address: ADDRESS } as unknown as ConstructorParameters<typeof SharedTable>[1];
    this.#memory = this.#memoryOf(MAIN, PortMemory.create(plan.concurrency, true, POSTS).buffer);
    this.table = this.#tableOf(MAIN);
    this.main = new SharedHost(this.table, new SimulatedPort(this, this.#memory), new SimulatedSockets(this, 1));
    const at = this.table.serviceAt(SERVICE);
    const { words } = this.table;
    words[at + ServiceField.HighWatermark] = plan.highWatermark;
    words[at + ServiceField.LowWatermark] = plan.highWatermark >> 2;
    words[at + ServiceField.PerSession] = plan.queueLimit;
    this.#listener = this.kernel.open(null);
    words[at + ServiceField.Listener] = this.#listener.fd + 1;
    this.#kind = this.#sessionKind();
    this.#states = new SharedArrayBuffer(64 * (plan.maxSessions + 1));
    plant?.(this);
    if (Object.keys(plan.timeouts).length > 0) this.#startSweep();
    for (let i = 0; i < plan.threads; i++) this.#startActor();
    this.main.port.listen(this.#listener.fd, SERVICE);
  }

  async play(): Promise<void> {
    const restore = watchAtomics(
      () => this.point(),
      () => this.swap,
    );
    try {
      for (let i = 0; i < 3; i++) this.#connect();
      for (let step = 0; step < this.plan.steps; step++) {
        this.#operate(this.random.pick(this.plan.operations));
        const until = this.clock.now() + this.random.next() * this.plan.pace;
        await this.#until(() => this.clock.now() >= until, until);
      }
      await this.#calmDown();
      this.#check();
    } finally {
      restore();
    }
  }

  readonly serviceOf = (): HostedService => {
    this.#service ??= {
      index: SERVICE,
      serial: 0,
      module: '',
      options: {},
      timeouts: this.plan.timeouts,
      accepts: { maxSessions: this.plan.maxSessions },
      tokens: null,
      clients: null,
      states: this.#states,
    };
    return this.#service;
  };

  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  trace(text: string): void {
    this.#trace?.(`${this.clock.now().toFixed(4)} ${this.#current?.id ?? '-'} ${text}`);
  }

  // Threads.

  /** The thread that is on the stack may end here, or others may run on top of it. */
  point(): void {
    const actor = this.#current;
    if (actor === null && !this.#recovers) return;
    if (actor?.state === 'dead') throw new Death();
    if (actor !== null && actor.doom > 0 && --actor.doom === 0) {
      this.#die(actor);
      throw new Death();
    }
    const { preemption } = this.plan;
    if (preemption === 0 || this.#depth >= DEEPEST || this.#failure || !this.random.chance(preemption)) return;
    if (this.#locked()) return;
    this.#nest(() => {
      const until = this.clock.now() + STEP * 4;
      for (let i = this.random.between(1, MOST_AT_A_POINT); i > 0 && this.clock.step(until); i--);
    });
    if (actor !== null && (actor.state as string) === 'dead') throw new Death();
  }

  /** Calls something as this thread. Nothing is thrown: a thread that ends has ended, and what else is thrown fails the run. */
  as(actor: Actor, act: () => void): void {
    if (actor.state === 'dead') return;
    const before = this.#current;
    this.#current = actor;
    try {
      act();
    } catch (error) {
      if (!(error instanceof Death)) this.fail(error);
    } finally {
      this.#current = before;
    }
  }

  /** Something may go on that waits: looks soon. */
  kick(): void {
    if (this.#kicked) return;
    this.#kicked = true;
    this.clock.setTimeout(() => {
      this.#kicked = false;
      this.#pump();
    }, this.random.next() * STEP);
  }

  seekSoon(actor: Actor): void {
    this.clock.setTimeout(() => this.as(actor, () => actor.seek()), this.random.next() * STEP);
  }

  isBlocked(record: number): boolean {
    return this.actors.some((actor) => actor.record === record && actor.blocked);
  }

  /** No thread begins to work beyond the limit, as long as none was judged blocked. */
  checkSlots(): void {
    if (this.#blocks > 0) return;
    assert.strictEqual(slotsInUse(this.#memory.words).excess, 0, 'more threads have a slot than there are');
  }

  #pump(): void {
    for (const actor of this.actors) {
      if (actor.called) {
        actor.state = 'coming';
        this.seekSoon(actor);
      } else if (actor.watches) actor.watch();
    }
    if (!this.kernel.ready) return;
    const actor = this.waiters.pop();
    if (actor === undefined) return;
    actor.state = 'coming';
    this.clock.setTimeout(() => this.as(actor, () => actor.takeEvent()), this.random.next() * STEP);
    this.kick();
  }

  /** Others run, in the middle of what this thread does. */
  #nest(act: () => void): void {
    const before = this.#current;
    const recovers = this.#recovers;
    this.#current = null;
    this.#recovers = false;
    this.#depth++;
    try {
      act();
    } finally {
      this.#depth--;
      this.#current = before;
      this.#recovers = recovers;
    }
  }

  #locked(): boolean {
    const { table } = this;
    const { words } = table;
    if (words[0] !== 0 || this.#memory.words[0] !== 0 || this.#groups[0] !== 0) return true;
    if (words[table.serviceAt(SERVICE) + ServiceField.Lock] !== 0) return true;
    for (let slot = 0; slot <= this.plan.maxSessions; slot++) {
      if (words[table.at(slot) + Field.Lock] !== 0) return true;
    }
    return false;
  }

  #memoryOf(thread: number, buffer: SharedArrayBuffer): PortMemory {
    return new PortMemory(buffer, thread, () => Math.floor(this.clock.now() * 1000) | 0);
  }

  #tableOf(thread: number): SharedTable {
    const table = new SharedTable(this.#token, this.#block, thread, thread);
    table.stuck = (holder) => {
      throw new Error(`thread ${thread} waits for a lock of thread ${holder}`);
    };
    this.onTable(table);
    return table;
  }

  #startActor(): void {
    const id = ++this.#threads;
    const memory = this.#memoryOf(id, this.#memory.buffer);
    const actor = new Actor(this, id, memory, this.#tableOf(id), this.plan.received);
    actor.thread.host(SERVICE, 0, this.#kind as Parameters<typeof actor.thread.host>[2]);
    this.onActor(actor);
    this.actors.push(actor);
    this.seekSoon(actor);
  }

  #die(actor: Actor): void {
    this.trace(`thread ${actor.id} ends`);
    const inLock = this.#locked();
    actor.state = 'dead';
    actor.blocked = false;
    this.#lost++;
    const waits = this.waiters.indexOf(actor);
    if (waits >= 0) this.waiters.splice(waits, 1);
    for (const model of this.#models.values()) {
      if (model.busy !== actor) continue;
      model.busy = null;
      model.lost = true;
    }
    // The others would wait for the lock meanwhile.
    if (inLock) this.#recover(actor);
    else this.clock.setTimeout(() => this.#recover(actor), this.random.next() * 5);
  }

  #recover(actor: Actor): void {
    const before = this.#current;
    const recovers = this.#recovers;
    this.#current = null;
    this.#recovers = true;
    const close = (fd: number) => this.kernel.close(fd, true);
    assert.ok(recoverThread(this.main, actor.id, actor.held, [SERVICE], close), 'a recovery is to be tried again');
    this.#current = before;
    this.#recovers = recovers;
    this.actors.splice(this.actors.indexOf(actor), 1);
    this.clock.setTimeout(() => this.#startActor(), this.random.next() * 10);
    this.kick();
  }

  // Sessions.

  #sessionKind(): new () => SharedSession {
    const run = this;
    const { framed } = this.plan;
    const Base = framed > 0 ? SharedPacketSession<typeof state> : SharedSession<typeof state>;
    return class extends Base {
      static override state = state;
      static framer = fixedLength(framed || 1);

      override onConnected(): unknown {
        run.#opened(this);
        return run.#turn(this, 'onConnected', (model) => {
          if (run.plan.grouped) run.#join(this, model);
          return run.#maybeAct(this);
        });
      }

      override onReceive(data: Buffer): unknown {
        return this.#got(data);
      }

      onPacket(data: Buffer): unknown {
        assert.strictEqual(data.length, framed, 'a frame of another length');
        return this.#got(data);
      }

      #got(data: Buffer): unknown {
        return run.#turn(this, 'received', (model) => {
          for (const byte of data) {
            assert.strictEqual(byte, byteAt(model.peer.number, model.received++), 'the bytes of a session changed');
          }
          this.state.received += data.length;
          assert.strictEqual(this.state.received, model.received, 'the state lost something');
          return run.#maybeAct(this);
        });
      }

      override onDrain(): unknown {
        return run.#turn(this, 'onDrain', () => run.#maybeAct(this));
      }

      override onMessage(message: Buffer): unknown {
        return run.#turn(this, 'onMessage', (model) => {
          const sender = message.readDoubleLE(0);
          assert.strictEqual(message.readDoubleLE(8), model.id, 'a message for another session');
          const number = message.readUInt32LE(16);
          const expected = model.heard.get(sender) ?? 0;
          assert.strictEqual(number, expected, `message ${number} of ${sender} comes in the place of ${expected}`);
          model.heard.set(sender, expected + 1);
          return run.#maybeAct(this);
        });
      }

      override onDisconnected(error?: Error): unknown {
        return run.#turn(this, 'onDisconnected', (model) => {
          model.over = true;
          const cut = framed > 0 && model.peer.ended && model.peer.written % framed > 0;
          const known =
            error === undefined ||
            error instanceof Planned ||
            (isIocpError(error) && (CODES.has(error.code) || (cut && error.code === 'EPROTO')));
          assert(known, `ended by ${error}`);
          if (isIocpError(error) && error.code === 'ECHILD') assert(run.#lost > 0, 'no thread has ended');
          if (isIocpError(error) && error.code === 'ETIMEDOUT') run.#checkTimeout(model, error.message);
        });
      }
    } as unknown as new () => SharedSession;
  }

  #opened(session: SharedSession): void {
    const { id } = session;
    assert(!this.#models.has(id), `two sessions have the id ${id}`);
    // By plain loads: what the run itself looks at is no point.
    const { words } = this.table;
    const slot = id % SLOT_RANGE;
    const fd = words[this.table.at(slot) + Field.Socket]! - 1;
    const socket = this.kernel.sockets.get(fd)!;
    const { peer } = socket;
    peer!.session = id;
    this.#models.set(id, {
      id,
      peer: peer!,
      socket,
      received: 0,
      busy: null,
      lost: false,
      over: false,
      ending: false,
      numbers: new Map(),
      told: new Map(),
      heard: new Map(),
      unsure: new Set(),
      member: false,
      due: new Map(),
    });
  }

  #turn(session: SharedSession, name: string, act: (model: Model) => unknown): unknown {
    const actor = this.#actorOf(session);
    const { id } = session;
    this.trace(`${name} of ${id}`);
    const model = this.#models.get(id);
    try {
      assert(model !== undefined, `${name} of a session that was not opened`);
      assert(model.busy === null, `two turns of session ${id} at once`);
      assert(!model.over, `${name} of a session that is over`);
    } catch (error) {
      this.fail(error);
      throw error;
    }
    model.busy = actor;
    const over = () => {
      if (model.busy === actor) model.busy = null;
    };
    try {
      const result = act(model);
      if (result instanceof Promise) return result.finally(over);
      over();
      return undefined;
    } catch (error) {
      over();
      if (error instanceof Death) throw error;
      if (!(error instanceof Planned)) this.fail(error);
      model.ending = true;
      throw error;
    }
  }

  /** The thread whose turn it is. */
  #actorOf(session: SharedSession): Actor {
    return this.actors.find(({ thread }) => (thread as object) === session.core)!;
  }

  #maybeAct(session: SharedSession): unknown {
    if (this.#calm || this.#budget === 0 || !this.random.chance(this.plan.liveliness)) return undefined;
    this.#budget--;
    return this.#act(session, this.random.pick(this.plan.actions));
  }

  #act(session: SharedSession, name: ActionName): unknown {
    const { random } = this;
    const model = this.#models.get(session.id)!;
    const actor = this.#actorOf(session);
    this.trace(name);
    switch (name) {
      case 'send':
        for (let i = random.between(1, 3); i > 0; i--) this.#send(model.id, model, (bytes) => session.send(bytes));
        break;
      case 'send to another':
        this.#sendToAnother(model.id, session.core);
        break;
      case 'tell':
        this.#tellAnother(model.id, session.core);
        break;
      case 'join':
        this.#join(session, model);
        break;
      case 'leave':
        model.member = null;
        session.leave(GROUP);
        model.member = false;
        break;
      case 'broadcast':
        this.#broadcast(model.id, session);
        break;
      case 'end':
        model.ending = true;
        session.end();
        break;
      case 'destroy':
        model.ending = true;
        session.destroy(random.chance(0.5) ? new Planned('as planned') : undefined);
        break;
      case 'block':
        // What runs after an await is not interrupted here.
        if (this.#current === actor) this.#sleep(actor);
        break;
      case 'wait':
        return this.#wait(session, actor);
      case 'throw':
        throw new Planned('as planned');
      case 'a thread ends':
        actor.doom = random.between(1, 40);
        break;
    }
    return undefined;
  }

  /** A frame for this session, by the caller's way. */
  #send(sender: number, target: Model, send: (bytes: Buffer) => boolean): void {
    const number = target.numbers.get(sender) ?? 0;
    target.numbers.set(sender, number + 1);
    send(frame(sender, target.id, number, this.random.below(this.plan.largest)));
  }

  /** If its thread ends meanwhile, the session is over. */
  #join(session: SharedSession, model: Model): void {
    session.join(GROUP);
    model.member = true;
  }

  /** Each member gets it that has joined before, is not slow, and is there when the broadcast has returned. */
  #broadcast(sender: number, session: SharedSession): void {
    const number = this.#broadcasts++;
    const bytes = frame(sender, EVERYONE, number, this.random.below(this.plan.largest));
    // Else a session may be too slow at any time, as others send meanwhile.
    const all = this.plan.highWatermark === NO_WATERMARK;
    const members = [...this.#models.values()].filter(({ member }) => all && member === true);
    session.broadcast(bytes, GROUP);
    for (const model of members) {
      const { member, over, lost, ending, peer } = model;
      if (member !== true || over || lost || ending || peer.wasCut) continue;
      const due = model.due.get(sender) ?? new Set();
      model.due.set(sender, due.add(number));
    }
  }

  #sendToAnother(sender: number, core: { send(id: number, data: Uint8Array): boolean }): void {
    if (this.#models.size === 0) return;
    const target = this.random.pick([...this.#models.values()]);
    this.#send(sender, target, (bytes) => core.send(target.id, bytes));
  }

  #tellAnother(sender: number, core: { tell(id: number, data: Uint8Array): boolean }): void {
    if (this.#models.size === 0) return;
    const target = this.random.pick([...this.#models.values()]);
    const number = target.told.get(sender) ?? 0;
    // It counts from now on: the session may hear it before tell() returns.
    target.told.set(sender, number + 1);
    const message = frame(sender, target.id, number, this.random.below(100));
    target.unsure.add(sender);
    if (!core.tell(target.id, message)) target.told.set(sender, number);
    target.unsure.delete(sender);
  }

  /** A handler blocks its thread. */
  #sleep(actor: Actor): void {
    if (this.#depth >= DEEPEST) return;
    this.#blocks++;
    actor.blocked = true;
    this.#nest(() => {
      const until = this.clock.now() + this.random.next() * 20;
      while (!this.#failure && this.clock.step(until));
      this.clock.advance(until);
    });
    actor.blocked = false;
    if (actor.state === 'dead') throw new Death();
  }

  /** An async handler: goes on in a turn of the event loop of its own, if its thread is there then. */
  async #wait(session: SharedSession, actor: Actor): Promise<void> {
    await new Promise<void>((resolve) => {
      const settle = () => {
        // Microtasks run only when nothing is on the stack.
        if (this.#depth > 0) this.clock.setTimeout(settle, STEP);
        else if (actor.state !== 'dead') resolve();
      };
      this.clock.setTimeout(settle, this.random.next() * 10);
    });
    const model = this.#models.get(session.id)!;
    this.#send(model.id, model, (bytes) => session.send(bytes));
    if (!this.random.chance(0.2)) return;
    model.ending = true;
    session.end();
  }

  // Timeouts.

  /** The timers of the core's own thread. */
  #startSweep(): void {
    const { clock, main, plan } = this;
    const run = this;
    const timers = {
      get now() {
        return run.sweepNow();
      },
      set: (timer: { readonly callback: () => void }, delay: number) => void clock.setTimeout(timer.callback, delay),
      clear() {},
    };
    const core = { timers, statsBlock: main.statsBlock };
    const limits = { timeouts: plan.timeouts, linger: Number.POSITIVE_INFINITY, accepts: {} };
    const host = {
      table: main.table,
      close(slot: number, id: number, reason: number) {
        run.#noteStuck(slot, reason);
        main.close(slot, id, reason);
      },
    };
    new SharedSweep(core as never, host as never, SERVICE, limits as never);
  }

  /** Until onDisconnected is called, more bytes may be sent: so the time without one is noted when the sweep closes the session. */
  #noteStuck(slot: number, reason: number): void {
    const fd = this.table.words[this.table.at(slot) + Field.Socket]! - 1;
    const socket = this.kernel.sockets.get(fd);
    if (reason === Reason.Write && socket) socket.stuckFor ??= this.clock.now() - socket.sent;
  }

  /** A session that a timeout has closed was silent, or stuck, for that time. */
  #checkTimeout({ socket, received, lost }: Model, message: string): void {
    // A thread may have ended before it counted what the kernel had taken.
    if (lost && message.includes('could be sent')) return;
    const { read = 0, firstByte = 0, frame = 0, write = 0 } = this.plan.timeouts;
    const now = this.clock.now();
    const [passed, limit] = message.includes('could be sent')
      ? [socket.stuckFor ?? 0, write]
      : message.includes('a frame')
        ? [now - socket.opened, frame]
        : message.includes('in the first')
          ? [now - socket.opened, firstByte]
          : [now - socket.received, read];
    if (message.includes('in the first')) assert.strictEqual(received, 0, 'the first byte had come');
    assert(limit > 0 && passed >= limit - 1e-6, `timed out after ${passed} ms: ${message}`);
  }

  // What happens from outside.

  #operate(name: OperationName): void {
    const { random } = this;
    const peers = this.#peers.filter(({ closed }) => !closed);
    const peer = peers.length > 0 ? random.pick(peers) : undefined;
    switch (name) {
      case 'connect':
        this.#connect();
        break;
      case 'write':
        peer?.write(random.between(1, this.plan.largest));
        break;
      case 'end':
        peer?.end(random.chance(0.8) ? this.plan.framed : 0);
        break;
      case 'reset':
        peer?.reset();
        break;
      case 'pause':
        if (peer) peer.paused = true;
        break;
      case 'resume':
        peer?.resume();
        break;
      case 'core sends':
        this.#sendToAnother(CORE, this.main);
        break;
      case 'core tells':
        this.#tellAnother(CORE, this.main);
        break;
      case 'a thread ends': {
        // One that waits; or in the middle of what it does next.
        const living = this.actors.filter((one) => one.state !== 'dead');
        if (living.length === 0) break;
        const actor = random.pick(living);
        if (random.chance(0.3) && actor.state !== 'busy') this.#die(actor);
        else actor.doom = random.between(1, 60);
        break;
      }
    }
  }

  #connect(): void {
    const peer = this.kernel.connect(this.#listener);
    peer.onFailure = (error) => this.fail(error);
    peer.onEnd = () => this.#ended(peer);
    this.#peers.push(peer);
    if (this.random.chance(0.5)) peer.write(this.random.between(1, this.plan.largest));
  }

  /** A stream has ended in order: what the session itself sent has arrived. */
  #ended(peer: Peer): void {
    const model = this.#models.get(peer.session ?? -1);
    if (model === undefined || model.lost || model.ending) return;
    assert.strictEqual(peer.next.get(model.id) ?? 0, model.numbers.get(model.id) ?? 0, 'frames are missing');
  }

  /** Nothing is begun any more: what was is to come to its end, and then everything ends. */
  async #calmDown(): Promise<void> {
    this.#calm = true;
    for (const peer of this.#peers) {
      peer.complete(this.plan.framed);
      peer.resume();
    }
    await this.#reach('every byte and message', () =>
      [...this.#models.values()].every((model) => this.#isServed(model)),
    );
    if (this.plan.timeouts.read !== undefined) {
      await this.#reach('the end of every silent session', () => tableInUse(this.table).sessions === 0);
    }
    for (const peer of this.#peers) peer.end(0);
    await this.#reach('the end of every session', () => {
      const { sessions, records } = tableInUse(this.table);
      return sessions === 0 && records === 0 && this.#peers.every(({ closed }) => closed);
    });
    // Threads that ended are back. The last one may have accepted a connection that had ended already: that session ends, too.
    await this.#reach('rest', () => {
      const packets = this.#memory.queued > 0 || this.kernel.ready;
      const works = this.actors.some(({ state: what }) => what !== 'line' && what !== 'kernel');
      return !packets && !works && this.actors.length === this.plan.threads && tableInUse(this.table).records === 0;
    });
  }

  #isServed(model: Model): boolean {
    if (model.over || model.lost || model.peer.wasCut) return true;
    const slot = this.table.slotOf(model.id);
    if (slot < 0) return true;
    if ((this.table.words[this.table.at(slot) + Field.Flags]! & Flag.Closing) !== 0) return false;
    const heard = [...model.told].every(
      ([sender, number]) => model.unsure.has(sender) || (model.heard.get(sender) ?? 0) === number,
    );
    // A broadcast that its peer has not got may be on its way.
    const got = [...model.due].every(([sender, due]) => {
      const broadcasts = model.peer.broadcasts.get(sender) ?? [];
      return [...due].every((number) => broadcasts.includes(number));
    });
    const cut = model.peer.ended && this.plan.framed > 0 ? model.peer.written % this.plan.framed : 0;
    return model.received === model.peer.written - cut && heard && got && this.main.queued(slot) === 0;
  }

  async #reach(what: string, test: () => boolean): Promise<void> {
    const steps = this.clock.steps + MOST_STEPS;
    const last = this.clock.now() + MOST_TIME;
    await this.#until(() => test() || this.clock.steps > steps, last);
    if (test()) return;
    throw new Error(`${what} does not come: ${this.#left()}`);
  }

  #left(): string {
    const models = [...this.#models.values()]
      .filter(({ over }) => !over)
      .map(({ id, received, peer, busy, lost }) => ({ id, received, written: peer.written, busy: busy?.id, lost }));
    const actors = this.actors.map(({ id, state: what, blocked }) => `${id} ${what}${blocked ? ' blocked' : ''}`);
    return JSON.stringify({
      time: this.clock.now(),
      models,
      actors,
      peers: this.#peers.filter(({ closed }) => !closed).length,
      ...tableInUse(this.table),
      ...slotsInUse(this.#memory.words),
    });
  }

  async #until(test: () => boolean, last: number): Promise<void> {
    // Promises settle between two steps, and one step settles one at most. What they run is the thread's whose promise it was.
    await settled();
    while (!this.#failure && !test()) {
      if (!this.clock.step(last)) {
        this.clock.advance(last);
        break;
      }
      await settled();
    }
    if (this.#failure) throw this.#failure.error;
  }

  #check(): void {
    const left = tableInUse(this.table);
    assert.deepStrictEqual(left, { records: 0, sessions: 0, lostRecords: 0, blocks: 0, queued: 0, locks: 0 });
    assert.deepStrictEqual(slotsInUse(this.#memory.words), { miscounted: 0, excess: 0 });
    assert.strictEqual(this.kernel.sockets.size, 1, 'descriptors are open');
    const alive = new Set(this.actors.map(({ id }) => id + 1));
    const { words } = this.#memory;
    for (let record = 16; record < 16 + 256 * 16; record += 16) {
      if (words[record] !== 0)
        assert(alive.has(words[record]!), `thread ${words[record]! - 1}, which has ended, has a record`);
    }
  }
}

/** When every promise that can settle now has settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
