// The simulated network: its listeners, how a connect finds them, and the connections that no port has yet.

import { endpoint } from '../contract/endpoint.js';
import type { Endpoint } from '../contract/port.js';
import { End } from './connection.js';
import type { World } from './world.js';

/** A listener: a socket of a port, or a peer. */
export interface Acceptor {
  /** A connection is there. False when there are too many. */
  onConnection(end: End): boolean;
}

interface Bound {
  readonly local: Endpoint;
  readonly ipv6Only: boolean;
  readonly acceptor: Acceptor;
}

/** The result of a connect: an end, or an error code. */
type Dialed = (result: End | string) => void;

const FIRST_PORT = 49152;
const PORTS = 65536 - FIRST_PORT;
/** The addresses of this machine. The last two mean all of them. */
const LOCAL = new Set(['127.0.0.1', '::1', '0.0.0.0', '::']);
const MAPPED = '::ffff:';

export class Network {
  readonly #world: World;
  readonly #bound = new Set<Bound>();
  /** Connections that detached listeners brought and that no port has adopted, by their handles. */
  readonly #detached = new Map<number, End>();
  #handles = 0;
  #ports = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Listens. Gives the endpoint, with a port, or an error code. */
  bind(local: Endpoint, ipv6Only: boolean, acceptor: Acceptor): Endpoint | string {
    if (!LOCAL.has(local.address)) return 'EADDRNOTAVAIL';
    const taken = (port: number) => [...this.#bound].some((b) => b.local.port === port && overlap(b.local, local));
    let { port } = local;
    if (port === 0) {
      do port = this.#freePort();
      while (taken(port));
    } else if (taken(port)) {
      return 'EADDRINUSE';
    }
    const where = { ...local, port };
    this.#bound.add({ local: where, ipv6Only, acceptor });
    return where;
  }

  unbind(acceptor: Acceptor): void {
    for (const bound of this.#bound) if (bound.acceptor === acceptor) this.#bound.delete(bound);
  }

  /** The connections of detached listeners that no port has taken over. */
  get detached(): number {
    return this.#detached.size;
  }

  /** Gives a connection a handle, by which one port may take it over. */
  detach(end: End): number {
    this.#detached.set(++this.#handles, end);
    return this.#handles;
  }

  /** Takes over the connection with this handle: undefined when there is none any more. */
  take(handle: number): End | undefined {
    const end = this.#detached.get(handle);
    this.#detached.delete(handle);
    return end;
  }

  /** Connects: calls `dialed` later, once. Gives the endpoint that it connects from. */
  dial(remote: Endpoint, dialed: Dialed): Endpoint {
    const { random, faults, clock } = this.#world;
    const wait = () => this.#world.delay(faults.latency);
    const answer = (result: End | string) => void clock.setTimeout(() => dialed(result), wait());
    const client = endpoint(remote.family === 6 ? '::1' : '127.0.0.1', this.#freePort());
    clock.setTimeout(() => {
      const bound = this.#listener(remote);
      if (bound === undefined) answer('ECONNREFUSED');
      else if (random.chance(faults.refuse)) answer(random.pick(['ECONNREFUSED', 'ETIMEDOUT']));
      else answer(this.#connect(bound, client, remote));
    }, wait());
    return client;
  }

  #connect({ local, acceptor }: Bound, client: Endpoint, remote: Endpoint): End | string {
    // A listener on :: sees IPv4 as IPv6.
    const mapped = local.family === 6 && remote.family === 4;
    const seen = (of: Endpoint) => (mapped ? endpoint(MAPPED + of.address, of.port) : of);
    const pair = End.pair(this.#world, client, remote, seen);
    return acceptor.onConnection(pair.server) ? pair.client : 'ECONNREFUSED';
  }

  #listener(remote: Endpoint): Bound | undefined {
    return [...this.#bound].find(
      ({ local, ipv6Only }) =>
        local.port === remote.port &&
        (local.address === remote.address ||
          (local.address === '0.0.0.0' && remote.family === 4) ||
          (local.address === '::' && (remote.family === 6 || !ipv6Only))),
    );
  }

  #freePort(): number {
    return FIRST_PORT + (this.#ports++ % PORTS);
  }
}

function overlap(one: Endpoint, other: Endpoint): boolean {
  const all = ({ address }: Endpoint) => address === '0.0.0.0' || address === '::';
  return one.address === other.address || all(one) || all(other);
}
