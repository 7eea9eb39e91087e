// The peers of the rules in a simulation: its peers, with the face of a socket of Node. The event loop drives its time.

import { EventEmitter } from 'node:events';
import type { Endpoint } from '../../src/contract/port.js';
import type { PeerHandlers, SimulatedPeer, Simulation } from '../../src/testing/index.js';
import type { PeerNetwork, RawSocket } from './network.js';

class SimulatedRaw extends EventEmitter implements RawSocket {
  readonly #peer: SimulatedPeer;

  constructor(peer: SimulatedPeer) {
    super();
    this.#peer = peer;
  }

  get connecting(): boolean {
    return !this.#peer.connected;
  }

  get localPort(): number | undefined {
    return this.#peer.local?.port;
  }

  get remotePort(): number | undefined {
    return this.#peer.remote?.port;
  }

  write(bytes: Uint8Array | string, done?: () => void): void {
    this.#peer.write(bytes, done);
  }

  end(bytes?: Uint8Array | string): void {
    this.#peer.end(bytes);
  }

  pause(): void {
    this.#peer.pause();
  }

  resume(): void {
    this.#peer.resume();
  }

  destroy(): void {
    this.#peer.destroy();
  }

  resetAndDestroy(): void {
    this.#peer.reset();
  }
}

/** Peers of this simulation. */
export function simulatedNetwork(simulation: Simulation): PeerNetwork {
  const raws = new Map<SimulatedPeer, SimulatedRaw>();
  const handlers: PeerHandlers = {
    onConnected: (peer) => raws.get(peer)?.emit('connect'),
    onData: (peer, data) => raws.get(peer)?.emit('data', data),
    onEnd: (peer) => raws.get(peer)?.emit('end'),
    onClosed(peer) {
      const raw = raws.get(peer);
      if (peer.error !== null) raw?.emit('error', Object.assign(new Error(peer.error), { code: peer.error }));
      raw?.emit('close');
    },
  };
  const rawOf = (peer: SimulatedPeer) => {
    const raw = new SimulatedRaw(peer);
    raws.set(peer, raw);
    return raw;
  };
  return {
    connect: (to) => rawOf(simulation.connect(to as Endpoint, handlers)),
    async listen(onConnection) {
      const server = simulation.listen({ ...handlers, onConnected: (peer) => onConnection(rawOf(peer)) });
      return { endpoint: server.endpoint, close: async () => server.close() };
    },
  };
}

/** Has time pass from the event loop, a millisecond in each turn, until the function that it gives is called. */
export function drive(simulation: Simulation): () => void {
  let running = true;
  const turn = async () => {
    await simulation.run(1);
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    running = false;
  };
}
