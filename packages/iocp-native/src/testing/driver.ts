// The driver of a simulation: the contract over a network in memory, on virtual time. It follows the rules of the portable
// driver, except that its connections may move to another port of the simulation.

import { endpointText, isPipe } from '../contract/endpoint.js';
import {
  type CompletionPacket,
  type Endpoint,
  type GatherList,
  type ListenOptions,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type PortOptions,
} from '../contract/port.js';
import { BlockStore, plainMemory } from '../native/memory.js';
import { LoopDriver } from '../port/loop-driver.js';
import type { LoopSocket } from '../port/loop-socket.js';
import { Port } from '../port/port.js';
import type { Socket } from '../port/socket.js';
import { needsKernel } from '../portable/errors.js';
import { failure, lacks } from './errors.js';
import type { SimulatedHandle } from './handle.js';
import { SimulatedListener } from './listener.js';
import type { Network } from './network.js';
import { SimulatedSocket } from './socket.js';
import type { World } from './world.js';

const store = new BlockStore(plainMemory);
const names = Object.keys(Operation) as (keyof typeof Operation)[];

export function openSimulated(world: World, network: Network, options: Required<PortOptions>): Port<LoopSocket> {
  const driver = (port: Port<LoopSocket>) => new SimulatedDriver(port, world, network);
  return new Port({ backend: 'simulation', native: false, blocks: store, driver }, options);
}

export class SimulatedDriver extends LoopDriver {
  protected override readonly whyNoWait = 'time is virtual: use watch(), and run the simulation';
  readonly world: World;
  readonly network: Network;

  constructor(port: Port<LoopSocket>, world: World, network: Network) {
    super(port);
    this.world = world;
    this.network = network;
  }

  override async listen(local: Endpoint | PipeEndpoint, options: ListenOptions): Promise<LoopSocket> {
    const action = `listen on ${endpointText(local)}`;
    if (isPipe(local)) throw lacks(action, 'listen');
    if (options.reusePort) throw needsKernel(action, 'listen');
    const listener = new SimulatedListener(this, options.backlog ?? 4096, options.detached ?? false);
    const bound = this.network.bind(local, options.ipv6Only ?? false, listener);
    if (typeof bound === 'string') throw failure(action, bound, 'listen');
    listener.local = bound;
    return this.port.add(listener);
  }

  override async bind(local: Endpoint): Promise<never> {
    throw lacks(`bind to ${endpointText(local)}`, 'bind');
  }

  sendDirect(socket: LoopSocket, event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number {
    return (socket as SimulatedSocket).sendDirect(event, pieces, arrays);
  }

  sendNow(socket: LoopSocket, array: Uint8Array): number {
    return (socket as SimulatedSocket).sendNow(array);
  }

  override adopt(handle: number): LoopSocket {
    const end = this.network.take(handle);
    if (end === undefined) throw failure('adopt a connection', 'EBADF', 'adopt');
    const socket = new SimulatedSocket(this, end);
    socket.handle = handle;
    return this.port.add(socket);
  }

  override discard(handle: number): void {
    this.network.take(handle)?.close(false);
  }

  override connection(): LoopSocket {
    return this.port.add(new SimulatedSocket(this, null));
  }

  override closeHandle(socket: LoopSocket): void {
    if (socket.gone || this.stopped) super.closeHandle(socket);
    else (socket as SimulatedHandle).releaseSoon();
  }

  override dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    const count = super.dequeue(batch, timeout);
    if (this.world.traced) for (let i = 0; i < count; i++) this.world.trace(describe(batch[i]!));
    return count;
  }

  protected override limit(length: number): number {
    const { random, faults } = this.world;
    const ready = Math.min(length, this.port.packets.length);
    return ready > 1 && random.chance(faults.overflow) ? random.between(1, ready - 1) : length;
  }

  override watch(ready: () => void): void {
    super.watch(ready);
    if (this.world.random.chance(this.world.faults.spuriousWakeUp)) this.callWatcher();
  }

  /** Something of a socket completes in up to `most` milliseconds. It is dropped if the socket is closed by then. */
  complete(most: number, { index, generation }: SimulatedHandle, run: () => void): void {
    this.world.after(most, () => {
      if (this.stopped) return;
      if (this.port.sockets.find(index, generation) !== null) run();
      else this.port.stats.dropped++;
    });
  }

  /** All memory is ordinary memory, which only this thread reads: drain() leaves nothing. */
  override destroy(): void {
    this.port.buffers.wipe();
  }

  override abandon(): void {}

  protected override schedule(run: () => void): unknown {
    return this.world.clock.setTimeout(run, this.world.delay(this.world.faults.wakeUp));
  }

  protected override unschedule(call: unknown): void {
    this.world.clock.clearTimeout(call);
  }
}

function describe({ operation, socket, bytes, data, error }: CompletionPacket): string {
  const { index, generation } = (socket as Socket | null) ?? { index: '-', generation: '-' };
  const name = names.find((key) => Operation[key] === operation);
  return `slot ${index}, generation ${generation}: ${name} ${error?.code ?? (data === null ? bytes : `${bytes} bytes`)}`;
}
