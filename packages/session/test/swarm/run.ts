// One run of the swarm: a server on a simulation, and what one seed does to it. It throws when a promise is broken.

import assert from 'node:assert';
import { type Endpoint, isIocpError } from '@overlapped/iocp-native';
import { createSimulation, type Random, type SimulatedPeer, type Simulation } from '@overlapped/iocp-native/testing';
import { Timer } from '@overlapped/net-core';
import { Core, type SharedMessages } from '@overlapped/net-core/internal';
import { broadcast, Connector, Listener } from '../../src/index.js';
import { groupsOf } from '../../src/session/groups.js';
import { audit } from './audit.js';
import { frame, Kind } from './frames.js';
import { draw, type OperationName, type Plan } from './plan.js';
import { type Side, Sides } from './side.js';
import { SwarmSession } from './swarm-session.js';
import { Thread } from './thread.js';

/**
 * Milliseconds of virtual time, and tasks of the simulation, within which everything ends that was asked to; and milliseconds
 * that a stop may take beyond its grace. Several times the most that was ever seen.
 */
const MOST_TIME = 20_000;
const MOST_STEPS = 20_000;
const AFTER_GRACE = 1000;

/** Why a connect may fail. */
const REFUSALS = new Set(['ECONNREFUSED', 'ETIMEDOUT', 'ECANCELED', 'EMFILE', 'ENOBUFS']);

export interface RunOptions {
  readonly trace?: ((line: string) => void) | undefined;
  /** Plants a bug in a core. */
  readonly plant?: ((core: Core, random: Random) => void) | undefined;
}

export class Run {
  readonly plan: Plan;
  readonly simulation: Simulation;
  readonly random: Random;
  readonly sides = new Sides();
  readonly core: Core;
  readonly #thread: Thread | null;
  readonly #cores: readonly Core[];
  /** Nothing is started any more: what is there is to end. */
  calm = false;
  #failure: { readonly error: unknown } | undefined;
  readonly #sessions = new Set<SwarmSession>();
  readonly #peers = new Map<SimulatedPeer, Side>();
  readonly #kind: new () => SwarmSession;
  readonly #listeners: Listener[] = [];
  readonly #connectors: Connector[] = [];
  readonly #ended: (Listener | Connector)[] = [];
  #connecting = 0;
  #budget = 100;
  #bytesReceived = 0;
  readonly #allMessages = new Set<SharedMessages>();
  #broadcasts = 0;
  #posts = { sent: 0, seen: 0 };
  #timers = { set: 0, seen: 0 };
  #serverEndpoint!: Endpoint;
  #stopped: Promise<void> | undefined;

  constructor(seed: number, { trace, plant }: RunOptions) {
    this.plan = draw(seed);
    const { faults, maxSessions, receiveBuffers, sendBuffers } = this.plan;
    this.simulation = createSimulation({ seed, faults, ...(trace && { trace }) });
    this.random = this.simulation.random;
    const run = this;
    this.#kind = class extends SwarmSession {
      readonly run = run;
    };
    const open = () => new Core({ system: this.simulation, maxSessions }, { receiveBuffers, sendBuffers });
    this.core = open();
    this.#thread = this.plan.handOff ? new Thread(this.core, open(), this.#kind) : null;
    this.#cores = this.#thread ? [this.core, this.#thread.core] : [this.core];
    for (const core of this.#cores) {
      audit(core.port);
      // Every other seed copies large arrays, as where a kernel reads them later.
      if (seed % 2 === 0) Object.defineProperty(core.port, 'sendsDirectly', { value: false });
      plant?.(core, this.random);
      groupsOf(core);
      const deliver = core.onMessage!;
      core.onMessage = (messages, message) => {
        this.#allMessages.add(messages);
        deliver(messages, message);
      };
    }
  }

  async play(): Promise<void> {
    await this.#listen();
    this.#openConnector();
    this.#serverEndpoint = this.simulation.listen(this.#peerHandlers()).endpoint;
    for (let i = this.random.between(1, 6); i > 0; i--) this.#connectPeer();
    const stopAt = this.plan.abrupt ? this.random.below(this.plan.steps) : -1;
    for (let step = 0; step < this.plan.steps; step++) {
      this.#operate(this.random.pick(this.plan.operations));
      if (step === stopAt) this.#stop();
      await this.simulation.run(this.random.next() * this.plan.pace);
      this.#throwIfFailed();
    }
    if (!this.plan.abrupt) await this.#calmDown();
    await this.#over(this.#stop());
    this.#check();
  }

  /** Something broke a promise where nobody listens: the run fails. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  // What sessions call.

  opened(session: SwarmSession): void {
    this.#sessions.add(session);
    const side = this.sides.create();
    session.side = side;
    const { localPort, remotePort } = session;
    this.sides.join(side, localPort!, remotePort!);
    if (this.calm) session.end();
  }

  closed(session: SwarmSession): void {
    this.#bytesReceived += session.bytesReceived;
    assert(this.#sessions.delete(session), 'a session is over once');
  }

  /** Whether a handler does something. What is done in answer to something else is limited, or it would never end. */
  spends(): boolean {
    if (this.calm || this.#budget === 0 || !this.random.chance(this.plan.liveliness)) return false;
    this.#budget--;
    return true;
  }

  broadcast(): void {
    const { random, plan } = this;
    const core = this.#thread && random.chance(0.5) ? this.#thread.core : this.core;
    const bytes = frame(Kind.Broadcast, 0, this.#broadcasts, random.below(plan.largest));
    if (broadcast(core, bytes, random.pick([undefined, 'red', 'blue']))) this.#broadcasts++;
  }

  async #listen(): Promise<void> {
    const { highWatermark, lowWatermark, limits } = this.plan;
    // The thread has the class, and loads no module.
    const kind = this.#thread ? { module: new URL('swarm:session') } : { session: this.#kind };
    const where = { host: '127.0.0.1', port: 0 };
    this.#listeners.push(
      await Listener.listen(this.core, { ...where, ...limits, ...kind, highWatermark, lowWatermark }),
    );
  }

  /** A core has room for so many listeners. */
  #refused(error: unknown): void {
    if (!isIocpError(error) || error.code !== 'ENOBUFS') this.fail(error);
  }

  #openConnector(): void {
    const { highWatermark, lowWatermark } = this.plan;
    this.#connectors.push(new Connector(this.core, { session: this.#kind, highWatermark, lowWatermark }));
  }

  #end(one: Listener | Connector): void {
    this.#ended.push(one);
    one.stop(this.random.below(100)).catch((error) => this.fail(error));
  }

  #operate(name: OperationName): void {
    const { random, core } = this;
    const peers = [...this.#peers.keys()].filter((peer) => !peer.closed);
    const peer = peers.length > 0 ? random.pick(peers) : undefined;
    switch (name) {
      case 'peer connects':
        this.#connectPeer();
        break;
      case 'connector connects':
        this.#connect();
        break;
      case 'peer writes':
        if (peer) this.#write(peer);
        break;
      case 'peer ends':
        peer?.end();
        break;
      case 'peer resets':
        if (peer) this.#cut(peer, random.chance(0.5));
        break;
      case 'peer pauses':
        peer?.pause();
        break;
      case 'peer resumes':
        peer?.resume();
        break;
      case 'session acts':
        if (this.#sessions.size > 0) random.pick([...this.#sessions]).act();
        break;
      case 'broadcast':
        if (!this.#stopped) this.broadcast();
        break;
      case 'timer':
        if (!this.#stopped) this.#setTimer();
        break;
      case 'post':
        if (this.#stopped) break;
        core.post({ onPost: (number: number) => assert.strictEqual(number, this.#posts.seen++) }, this.#posts.sent++);
        break;
      case 'listener':
        if (this.#stopped) break;
        if (random.chance(0.5)) this.#listen().catch((error) => this.#refused(error));
        else if (this.#listeners.length > 1) this.#end(this.#listeners.shift()!);
        break;
      case 'connector':
        if (this.#stopped) break;
        this.#openConnector();
        this.#end(this.#connectors.shift()!);
        break;
    }
  }

  #connectPeer(): void {
    const { endpoint } = this.random.pick(this.#listeners);
    const peer = this.simulation.connect(endpoint, this.#peerHandlers());
    this.#peers.set(peer, this.sides.create());
  }

  #peerHandlers() {
    const { random, sides } = this;
    return {
      onConnected: (peer: SimulatedPeer) => {
        const side = this.#peers.get(peer) ?? sides.create();
        this.#peers.set(peer, side);
        sides.join(side, peer.local!.port, peer.remote!.port);
        if (this.calm) peer.end();
        else if (random.chance(0.5)) this.#write(peer);
      },
      onData: (peer: SimulatedPeer, data: Buffer) => {
        this.#peers.get(peer)!.reader.push(data);
        if (this.spends()) this.#write(peer);
      },
      onEnd: (peer: SimulatedPeer) => {
        sides.ended(this.#peers.get(peer)!);
        if (random.chance(0.5)) peer.end();
        else this.simulation.clock.setTimeout(() => peer.end(), random.next() * 100);
      },
      onClosed: (peer: SimulatedPeer) => {
        if (peer.error !== null) this.#peers.get(peer)!.cut = true;
      },
    };
  }

  #write(peer: SimulatedPeer): void {
    const side = this.#peers.get(peer)!;
    if (!peer.writable) return;
    const bytes = side.next(this.random.below(this.plan.largest));
    side.accept(bytes.length);
    peer.write(bytes);
  }

  #cut(peer: SimulatedPeer, reset: boolean): void {
    this.#peers.get(peer)!.cut = true;
    if (reset) peer.reset();
    else peer.destroy();
  }

  #connect(): void {
    const { random } = this;
    const targets = [this.#serverEndpoint, this.#listeners[0]!.endpoint, { address: '127.0.0.1', port: 1 }];
    const { address: host, port } = random.pick(targets);
    this.#connecting++;
    random
      .pick(this.#connectors)
      .connect({ host, port })
      .catch((error) => {
        if (!isIocpError(error) || !REFUSALS.has(error.code)) this.fail(error);
      })
      .finally(() => {
        this.#connecting--;
      });
  }

  #setTimer(): void {
    const { core, random, simulation } = this;
    const delay = random.next() * 20;
    const due = simulation.clock.now() + Math.max(1, delay);
    const timer = new Timer(() => {
      this.#timers.seen++;
      const late = simulation.clock.now() - due;
      assert(late >= 0 && late <= 1, `a timer is ${late} ms late`);
    });
    core.timers.set(timer, delay);
    if (random.chance(0.3)) core.timers.clear(timer);
    else this.#timers.set++;
  }

  /** Everybody reads and ends: within bounds, everything is over. */
  async #calmDown(): Promise<void> {
    this.calm = true;
    for (const peer of this.#peers.keys()) {
      peer.resume();
      peer.end();
    }
    for (const session of this.#sessions) {
      session.resume();
      session.end();
    }
    await this.#until(
      'the end of every connection',
      () =>
        this.#sessions.size === 0 && this.#connecting === 0 && [...this.#peers.keys()].every(({ closed }) => closed),
    );
    await this.#until('every timer', () => this.#timers.seen === this.#timers.set);
    await this.#until('every post', () => this.#posts.seen === this.#posts.sent);
  }

  #stop(): Promise<void> {
    this.#stopped ??= this.#stopCores(this.plan.grace);
    return this.#stopped;
  }

  async #stopCores(grace: number): Promise<void> {
    await this.core.stop(grace);
    await this.#thread?.stop(grace);
  }

  async #over(stopped: Promise<void>): Promise<void> {
    let over = false;
    const end = () => {
      over = true;
    };
    stopped.then(end, end);
    await this.#until('the end of the stop', () => over, this.plan.grace + AFTER_GRACE);
    await stopped;
  }

  async #until(what: string, test: () => boolean, limit = MOST_TIME): Promise<void> {
    const { clock } = this.simulation;
    const steps = clock.steps + MOST_STEPS;
    const met = () => {
      this.#throwIfFailed();
      return clock.steps > steps || test();
    };
    try {
      await this.simulation.until(met, limit);
      assert(test(), 'there were too many steps');
    } catch (cause) {
      this.fail(new Error(`${what} does not come: ${this.#left()}`, { cause }));
    }
    this.#throwIfFailed();
  }

  /** What is not over, in words. */
  #left(): string {
    const { simulation } = this;
    const peers = [...this.#peers.keys()].filter(({ closed }) => !closed);
    const sessions = [...this.#sessions].map(
      (s) => `${s.localPort}-${s.remotePort} with ${s.bytesQueued} bytes queued`,
    );
    return JSON.stringify({
      time: simulation.clock.now(),
      sessions,
      peers: peers.map(({ local, remote }) => `${local?.port}-${remote?.port}`),
      connecting: this.#connecting,
      stats: this.#cores.map(({ port }) => port.stats),
    });
  }

  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #check(): void {
    this.#throwIfFailed();
    assert.strictEqual(this.#sessions.size, 0, 'sessions are open');
    assert.strictEqual(this.simulation.detached, 0, 'connections are left between two cores');
    for (const core of this.#cores) {
      assert.strictEqual(core.sessions, 0, 'sessions are counted');
      assert.strictEqual(core.timers.size, 0, 'timers are set');
      const { inFlight, sockets, buffersOut } = core.port.stats;
      assert.deepStrictEqual({ inFlight, sockets, buffersOut }, { inFlight: 0, sockets: 0, buffersOut: 0 });
    }
    for (const { sessions } of [...this.#listeners, ...this.#connectors, ...this.#ended]) {
      assert.strictEqual(sessions.size, 0, 'sessions of a listener or a connector');
    }
    const totals = this.#cores.map((core) => core.stats().total);
    const total = (name: 'bytesQueued' | 'bytesReceived' | 'accepted' | 'ended') =>
      totals.reduce((sum, stats) => sum + stats[name], 0);
    assert.strictEqual(total('bytesQueued'), 0, 'bytes are counted as queued');
    assert.strictEqual(total('accepted'), total('ended'), 'every session is counted in and out');
    assert.strictEqual(total('bytesReceived'), this.#bytesReceived, 'bytes are counted as received');
    for (const { out } of this.#allMessages) assert.strictEqual(out, 0, 'shared messages have references');
  }
}
