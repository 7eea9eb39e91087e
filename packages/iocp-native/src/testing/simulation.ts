// A simulation: ports and peers on one network in memory, on one virtual clock, from one seed. The same seed and the same
// program give the same run, packet by packet.

import { endpoint } from '../contract/endpoint.js';
import type { CompletionPort, Endpoint, PortOptions } from '../contract/port.js';
import { settled, type VirtualClock } from './clock.js';
import { openSimulated } from './driver.js';
import { defaults, type Faults } from './faults.js';
import { Network } from './network.js';
import { type PeerHandlers, SimulatedPeer, SimulatedServer } from './peer.js';
import { Random } from './random.js';
import { World } from './world.js';

/** The options of a run: the same options and the same program give the same run. */
export interface SimulationOptions {
  /** The seed of all random numbers; 32 bits of it count. */
  readonly seed: number;
  /** The faults, and how often they come. Default: none, but bytes come in pieces and late. */
  readonly faults?: Partial<Faults>;
  /** Called for each packet, and for each event of the network, with the moment in milliseconds. */
  readonly trace?: (line: string) => void;
}

/** Ports and peers on one network, on one virtual clock. Nothing happens, timers included, but in run() and until(). */
export class Simulation {
  /** The time of all its ports and peers. */
  readonly clock: VirtualClock;
  /** For scripts: random numbers from the same seed. */
  readonly random: Random;
  readonly #world: World;
  readonly #network: Network;

  constructor({ seed, faults, trace }: SimulationOptions) {
    this.#world = new World(seed, { ...defaults, ...faults }, trace);
    this.#network = new Network(this.#world);
    this.clock = this.#world.clock;
    this.random = new Random(~seed);
  }

  /** A port of this simulation. */
  openPort(options: PortOptions = {}): CompletionPort {
    const { concurrency = 1, receiveBuffers = { count: 1024, size: 8256 } } = options;
    return openSimulated(this.#world, this.#network, { concurrency, receiveBuffers });
  }

  /** Connections that detached listeners brought, and that no port has adopted. At the end of a test there should be none. */
  get detached(): number {
    return this.#network.detached;
  }

  /** A peer that connects. */
  connect(to: Endpoint, handlers: PeerHandlers = {}): SimulatedPeer {
    const peer = new SimulatedPeer(handlers);
    peer.local = this.#network.dial(to, (result) => peer.settle(result));
    return peer;
  }

  /** A server whose connections are peers. */
  listen(handlers: PeerHandlers = {}, local: Endpoint = endpoint('127.0.0.1', 0)): SimulatedServer {
    return new SimulatedServer(this.#network, local, handlers);
  }

  /** Lets so many milliseconds pass; without a number, until nothing more is going to happen. */
  async run(milliseconds = Number.POSITIVE_INFINITY): Promise<void> {
    const { clock } = this;
    const until = clock.now() + milliseconds;
    await settled();
    while (clock.step(until)) await settled();
    if (until !== Number.POSITIVE_INFINITY) clock.advance(until);
  }

  /** Lets time pass until something is true. Rejects when it does not become so before `limit` milliseconds are over. */
  async until(test: () => boolean, limit = 60_000): Promise<void> {
    const { clock } = this;
    const last = clock.now() + limit;
    await settled();
    while (!test()) {
      if (!clock.step(last)) throw new Error(`waited in vain, until ${clock.now()} ms: ${test}`);
      await settled();
    }
  }
}

/** A simulation: give it to a core as its `system`, connect peers, and let time pass by run() or until(). */
export function createSimulation(options: SimulationOptions): Simulation {
  return new Simulation(options);
}
