// A listening socket of a simulated port: connections wait for accepts, or accepts for connections.

import { type Endpoint, Operation, type Overlapped } from '../contract/port.js';
import { notConnected } from '../portable/errors.js';
import type { End } from './connection.js';
import { failure } from './errors.js';
import { type Host, SimulatedHandle } from './handle.js';
import { SimulatedSocket } from './socket.js';

export class SimulatedListener extends SimulatedHandle {
  local!: Endpoint;
  readonly #backlog: number;
  /** What it accepts is handed out as a number, for any port of the simulation. */
  readonly #detached: boolean;
  /** Those that no connection has been found for. */
  readonly #accepts: Overlapped[] = [];
  readonly #connections: End[] = [];
  /** The kernel is about to learn of the accepts. */
  #submitting = false;
  /** Those that have found an accept, whose packet is on its way. */
  readonly #matched = new Set<End>();

  constructor(host: Host, backlog: number, detached: boolean) {
    super(host);
    this.#backlog = backlog;
    this.#detached = detached;
  }

  accept(event: Overlapped): void {
    const { world } = this.host;
    this.host.start(this, event);
    this.#accepts.push(event);
    if (this.#submitting) return;
    this.#submitting = true;
    world.after(world.faults.submission, () => {
      this.#submitting = false;
      this.#match();
    });
  }

  /** From the network: a connection. */
  onConnection(end: End): boolean {
    if (this.#connections.length >= this.#backlog) return false;
    this.#connections.push(end);
    this.#match();
    return true;
  }

  override cancel(event: Overlapped): void {
    const at = this.#accepts.indexOf(event);
    if (at === -1) return;
    this.#cancel(this.#accepts.splice(at, 1));
  }

  override cancelAll(): void {
    this.host.network.unbind(this);
    this.#cancel(this.#accepts.splice(0));
    // What a kernel had handed over without being asked comes out, too; what it had not is reset.
    for (const end of this.#connections.splice(0)) {
      if (this.host.world.random.chance(0.5)) this.#give(end, null);
      else end.close(true);
    }
  }

  override release(): void {
    this.host.network.unbind(this);
    for (const end of [...this.#connections.splice(0), ...this.#matched]) end.close(true);
    this.#matched.clear();
    this.#accepts.length = 0;
  }

  override localEndpoint(): Endpoint {
    this.checkOpen('get the local endpoint', 'getsockname');
    return this.local;
  }

  override remoteEndpoint(): Endpoint {
    this.checkOpen('get the remote endpoint', 'getpeername');
    throw notConnected('get the remote endpoint', 'getpeername');
  }

  #match(): void {
    const { random, faults } = this.host.world;
    while (this.#accepts.length > 0 && this.#connections.length > 0) {
      const event = this.#accepts.shift()!;
      if (random.chance(faults.accept)) {
        const code = random.pick(['ECONNABORTED', 'EMFILE', 'ENFILE', 'ENOBUFS']);
        if (code === 'ECONNABORTED') this.#connections.shift()!.close(true);
        this.host.complete(faults.completion, this, () => this.#fail([event], code));
      } else {
        this.#complete(event, this.#connections.shift()!);
      }
    }
  }

  #complete(event: Overlapped, end: End): void {
    this.#matched.add(end);
    this.host.complete(this.host.world.faults.completion, this, () => {
      this.#matched.delete(end);
      // Some systems tell that it has been reset since, some give the connection all the same.
      if (end.broken !== null && this.host.world.random.chance(0.5)) this.#fail([event], 'ECONNABORTED');
      else this.#give(end, event);
    });
  }

  #give(end: End, event: Overlapped | null): void {
    const packet = this.host.queue(Operation.Accept, this, event, null, event !== null);
    packet.socket = this.#detached ? null : new SimulatedSocket(this.host, end);
    if (this.#detached) packet.bytes = this.host.network.detach(end);
  }

  #cancel(events: readonly Overlapped[]): void {
    if (events.length === 0) return;
    this.host.complete(this.host.world.faults.completion, this, () => this.#fail(events, 'ECANCELED'));
  }

  #fail(events: readonly Overlapped[], code: string): void {
    const error = failure('accept a connection', code, 'accept');
    for (const event of events) this.host.queue(Operation.Accept, this, event, error).socket = null;
  }
}
