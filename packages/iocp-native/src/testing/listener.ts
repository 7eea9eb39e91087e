// A listening socket of a simulated port: connections wait for accepts, or accepts for connections.

import { type Endpoint, Operation, type Overlapped } from '../contract/port.js';
import { Kind } from '../port/socket.js';
import { notConnected } from '../portable/errors.js';
import type { End } from './connection.js';
import type { SimulatedDriver } from './driver.js';
import { failure } from './errors.js';
import { SimulatedHandle } from './handle.js';
import { SimulatedSocket } from './socket.js';

export class SimulatedListener extends SimulatedHandle {
  local!: Endpoint;
  readonly #backlog: number;
  /** Its connections get a number, by which any port of the simulation may adopt them. */
  readonly #detached: boolean;
  /** Accepts that have no connection yet. */
  readonly #accepts: Overlapped[] = [];
  readonly #connections: End[] = [];
  /** The kernel is about to learn of the accepts. */
  #submitting = false;

  constructor(driver: SimulatedDriver, backlog: number, detached: boolean) {
    super(driver, Kind.Listener);
    this.#backlog = backlog;
    this.#detached = detached;
  }

  override accept(event: Overlapped): void {
    const { world } = this.driver;
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
    this.driver.network.unbind(this);
    this.#cancel(this.#accepts.splice(0));
    // A connection that a kernel had handed over without being asked comes out, too. Others are reset.
    for (const end of this.#connections.splice(0)) {
      if (this.driver.world.random.chance(0.5)) {
        this.port.begin(this, null);
        this.#give(end, null);
      } else {
        end.close(true);
      }
    }
  }

  /** cancelAll() lets nothing go on. */
  override endAll(): void {}

  override release(): void {}

  override localEndpoint(): Endpoint {
    this.assertOpen('get the local endpoint', 'getsockname');
    return this.local;
  }

  override remoteEndpoint(): Endpoint {
    this.assertOpen('get the remote endpoint', 'getpeername');
    throw notConnected('get the remote endpoint', 'getpeername');
  }

  #match(): void {
    const { random, faults } = this.driver.world;
    while (this.#accepts.length > 0 && this.#connections.length > 0) {
      const event = this.#accepts.shift()!;
      if (random.chance(faults.accept)) {
        const code = random.pick(['ECONNABORTED', 'EMFILE', 'ENFILE', 'ENOBUFS']);
        if (code === 'ECONNABORTED') this.#connections.shift()!.close(true);
        this.complete(() => this.#fail([event], code));
      } else {
        this.#complete(event, this.#connections.shift()!);
      }
    }
  }

  #complete(event: Overlapped, end: End): void {
    this.complete(() => {
      // Some systems report that the connection has been reset since. Some give it all the same.
      if (end.broken !== null && this.driver.world.random.chance(0.5)) this.#fail([event], 'ECONNABORTED');
      else this.#give(end, event);
    });
  }

  #give(end: End, event: Overlapped | null): void {
    const packet = this.port.queue(Operation.Accept, this, event, null);
    if (this.#detached) {
      packet.socket = null;
      packet.handle = this.driver.network.detach(end);
    } else {
      packet.socket = this.driver.port.add(new SimulatedSocket(this.driver, end));
    }
  }

  #cancel(events: readonly Overlapped[]): void {
    if (events.length > 0) this.complete(() => this.#fail(events, 'ECANCELED'));
  }

  #fail(events: readonly Overlapped[], code: string): void {
    const error = failure('accept a connection', code, 'accept');
    for (const event of events) this.port.queue(Operation.Accept, this, event, error).socket = null;
  }
}
