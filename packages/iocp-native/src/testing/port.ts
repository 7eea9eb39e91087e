// The simulated completion port: the contract over a network in memory, on virtual time. It follows the rules of the portable
// backend, but that its connections may move to another port of the simulation; and it does not wait.

import assert from 'node:assert';
import { endpointText, isPipe } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import {
  CompletionPacket,
  type CompletionPort,
  type Endpoint,
  type GatherList,
  type ListenOptions,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type PortOptions,
  type PortSocket,
  type PortStats,
  type PortToken,
} from '../contract/port.js';
import { BlockStore, type NativeBlock, plainMemory } from '../native/memory.js';
import { checkEvent } from '../port/checks.js';
import { Inbox } from '../port/inbox.js';
import { detachedHandle, PacketQueue } from '../port/packet-queue.js';
import { FreeList, ReceiveBuffers } from '../port/receive-buffers.js';
import { closed, needsKernel } from '../portable/errors.js';
import { failure, lacks } from './errors.js';
import type { Host, SimulatedHandle, Starving } from './handle.js';
import { SimulatedListener } from './listener.js';
import type { Network } from './network.js';
import { SimulatedSocket } from './socket.js';
import type { World } from './world.js';

const store = new BlockStore(plainMemory);
const names = Object.keys(Operation) as (keyof typeof Operation)[];

export class SimulatedPort implements CompletionPort, Host {
  readonly backend = 'portable';
  readonly native = false;
  readonly concurrency: number;
  readonly receiveBlock: NativeBlock;
  readonly buffers: ReceiveBuffers;
  readonly world: World;
  readonly network: Network;
  readonly #bufferStats = { buffersOut: 0 };
  readonly #free: FreeList;
  readonly #blocks: NativeBlock[] = [];
  readonly #stats = { inFlight: 0, sockets: 0, packets: 0, wakeUps: 0, dropped: 0, starved: 0 };
  readonly #packets = new PacketQueue();
  /** What is open, by slot; and the slots that are free, of which the last one serves next. */
  readonly #slots: (SimulatedHandle | null)[] = [];
  readonly #freeSlots: number[] = [];
  #generations = 0;
  /** The events in flight. */
  readonly #events = new Set<Overlapped>();
  /** Sockets with bytes and no buffer, the one that waited longest first. */
  readonly #starving = new Set<Starving>();
  #inbox: Inbox | null = null;
  #ready: (() => void) | null = null;
  #call: unknown = null;
  #destroyed = false;

  constructor(world: World, network: Network, { concurrency, receiveBuffers: { count, size } }: Required<PortOptions>) {
    this.world = world;
    this.network = network;
    this.concurrency = concurrency;
    this.receiveBlock = this.allocate(ReceiveBuffers.bytesFor(count, size));
    this.buffers = new ReceiveBuffers(this.receiveBlock, count, size, this.#bufferStats);
    this.#free = new FreeList(count);
  }

  get stats(): Readonly<PortStats> {
    return { ...this.#stats, buffersOut: this.buffers.out };
  }

  allocate(bytes: number, hidden = false): NativeBlock {
    this.#check('allocate memory', 'allocate');
    const block = store.take(bytes, hidden);
    this.#blocks.push(block);
    return block;
  }

  async listen(local: Endpoint | PipeEndpoint, options: ListenOptions = {}): Promise<PortSocket> {
    const action = `listen on ${endpointText(local)}`;
    this.#check(action, 'listen');
    if (isPipe(local)) throw lacks(action, 'listen');
    if (options.reusePort) throw needsKernel(action, 'listen');
    const listener = new SimulatedListener(this, options.backlog ?? 4096, options.detached ?? false);
    const bound = this.network.bind(local, options.ipv6Only ?? false, listener);
    if (typeof bound === 'string') {
      this.#gone(listener);
      throw failure(action, bound, 'listen');
    }
    listener.local = bound;
    return listener;
  }

  accept(listener: PortSocket, event: Overlapped): void {
    this.#check('accept a connection', 'accept');
    assert(listener instanceof SimulatedListener, 'accept() on what does not listen');
    this.#own(listener).accept(event);
  }

  adopt(handle: number): PortSocket {
    const end = this.network.take(handle);
    if (this.#destroyed) end?.close(false);
    this.#check('adopt a connection', 'adopt');
    if (end === undefined) throw failure('adopt a connection', 'EBADF', 'adopt');
    const socket = new SimulatedSocket(this, end);
    socket.handle = handle;
    return socket;
  }

  connect(event: Overlapped, remote: Endpoint | PipeEndpoint, key: unknown): PortSocket {
    const action = `connect to ${endpointText(remote)}`;
    this.#check(action, 'connect');
    if (isPipe(remote)) throw lacks(action, 'connect');
    assert(!event.pending, 'the event is already in flight');
    const socket = new SimulatedSocket(this, null);
    socket.key = key;
    socket.connect(event, remote);
    return socket;
  }

  receive(socket: PortSocket, event: Overlapped): void {
    this.#check('receive', 'receive');
    this.#connection(socket).receive(event);
  }

  send(socket: PortSocket, event: Overlapped, pieces: GatherList): void {
    this.#check('send', 'send');
    this.#connection(socket).send(event, pieces);
  }

  async bind(local: Endpoint): Promise<PortSocket> {
    throw lacks(`bind to ${endpointText(local)}`, 'bind');
  }

  sendTo(): void {
    throw lacks('send a datagram', 'sendTo');
  }

  sendFile(): void {
    throw lacks('send a file', 'sendFile');
  }

  shutdown(socket: PortSocket): void {
    this.#check('shut the socket down', 'shutdown');
    this.#connection(socket).shutdown();
  }

  cancel(socket: PortSocket, event: Overlapped): void {
    this.#check('cancel', 'cancel');
    const handle = socket as SimulatedHandle;
    if (!handle.closing) this.#own(handle).cancel(event);
  }

  close(socket: PortSocket, reset = false): void {
    this.#check('close the socket', 'close');
    const handle = socket as SimulatedHandle;
    if (!handle.closing) this.#own(handle).close(reset);
  }

  release(buffer: number): void {
    this.#check('release a buffer', 'release');
    if (!this.buffers.release(buffer)) return;
    this.#free.push(buffer);
    // One buffer serves one socket, which waits again, at the end, when it needs more.
    for (const socket of this.#starving) {
      this.#starving.delete(socket);
      socket.deliver();
      return;
    }
  }

  retain(buffer: number): void {
    this.#check('retain a buffer', 'retain');
    this.buffers.retain(buffer);
  }

  bufferOf(bytes: Uint8Array): number {
    return this.buffers.indexOf(bytes);
  }

  placeOf(bytes: Uint8Array): number {
    return this.buffers.placeOf(bytes);
  }

  post(key: unknown, bytes: number): void {
    this.#check('post a packet', 'post');
    const packet = this.#packets.push();
    packet.operation = Operation.Post;
    packet.key = key;
    packet.bytes = bytes;
    this.#notify();
  }

  share(): PortToken {
    this.#check('share the port', 'share');
    if (this.#inbox === null) {
      this.#inbox = new Inbox();
      this.#notify();
    }
    return { backend: this.backend, handle: -1, queue: this.#inbox.memory };
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    this.#check('dequeue', 'dequeue');
    if (timeout !== 0) throw cannotWait('dequeue');
    while (this.#inbox?.shift((key, bytes) => this.post(key, bytes)));
    const { random, faults } = this.world;
    let count = Math.min(batch.length, this.#packets.length);
    if (count > 1 && random.chance(faults.overflow)) count = random.between(1, count - 1);
    for (let i = 0; i < count; i++) {
      const owner = this.#packets.shift(batch[i]!);
      if (owner !== null) this.#finish(owner as SimulatedHandle, batch[i]!);
      if (this.world.traced) this.world.trace(describe(batch[i]!));
    }
    if (count > 0) {
      this.#stats.wakeUps++;
      this.#stats.packets += count;
    }
    return count;
  }

  watch(ready: () => void): void {
    this.#check('watch the port', 'watch');
    this.#ready = ready;
    if (this.world.random.chance(this.world.faults.spuriousWakeUp)) this.#wake();
    this.#notify();
  }

  unwatch(): void {
    this.#ready = null;
    this.world.clock.clearTimeout(this.#call);
    this.#call = null;
  }

  waitForLoop(): void {
    this.#check('wait', 'waitForLoop');
    throw cannotWait('waitForLoop');
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.unwatch();
    this.#inbox?.close();
    this.#destroyed = true;
    this.#starving.clear();
    for (const event of this.#events) event.pending = false;
    this.#events.clear();
    this.#bufferStats.buffersOut = 0;
    for (const handle of this.#slots) {
      if (handle === null) continue;
      handle.pending = 0;
      handle.closing = true;
      handle.release(false);
    }
    this.#stats.inFlight = 0;
    this.#stats.sockets = 0;
    const packet = new CompletionPacket();
    while (this.#packets.length > 0) {
      this.#packets.shift(packet);
      this.network.take(detachedHandle(packet))?.close(false);
    }
    this.buffers.wipe();
    for (const block of this.#blocks) if (block !== this.receiveBlock) store.give(block);
    this.#blocks.length = 0;
  }

  // The port as its sockets see it.

  start(owner: SimulatedHandle, event: Overlapped | null): void {
    if (event !== null) {
      assert(!event.pending, 'the event is already in flight');
      checkEvent(event);
      event.pending = true;
      this.#events.add(event);
    }
    owner.pending++;
    this.#stats.inFlight++;
  }

  queue(
    operation: Operation,
    owner: SimulatedHandle,
    event: Overlapped | null,
    error: IocpError | null,
    last = true,
  ): CompletionPacket {
    const packet = this.#packets.push(last ? owner : null);
    packet.operation = operation;
    packet.key = owner.key;
    packet.socket = owner;
    packet.event = event;
    packet.error = error;
    this.#notify();
    return packet;
  }

  complete(most: number, { slot, generation }: SimulatedHandle, run: () => void): void {
    this.world.after(most, () => {
      if (this.#destroyed) return;
      if (this.#slots[slot]?.generation === generation) run();
      else this.#stats.dropped++;
    });
  }

  takeSlot(socket: Starving): number {
    const slot = this.#free.pop();
    if (slot === -1) {
      this.#stats.starved++;
      this.#starving.add(socket);
    }
    return slot;
  }

  forget(socket: Starving): void {
    this.#starving.delete(socket);
  }

  opened(handle: SimulatedHandle): void {
    handle.slot = this.#freeSlots.pop() ?? this.#slots.length;
    handle.generation = ++this.#generations;
    this.#slots[handle.slot] = handle;
    this.#stats.sockets++;
  }

  closed(handle: SimulatedHandle): void {
    this.queue(Operation.Close, handle, null, null);
    this.#gone(handle);
    const { random, faults } = this.world;
    if (!random.chance(faults.latePacket)) return;
    this.complete(10 * faults.latency, handle, () => assert.fail('a late packet reached another socket'));
  }

  #gone(handle: SimulatedHandle): void {
    this.#slots[handle.slot] = null;
    this.#freeSlots.push(handle.slot);
    this.#stats.sockets--;
  }

  #finish(owner: SimulatedHandle, { operation, event }: CompletionPacket): void {
    owner.pending--;
    this.#stats.inFlight--;
    if (event !== null) {
      event.pending = false;
      this.#events.delete(event);
    }
    owner.finished(operation);
  }

  /** Has the watcher called when there is something to dequeue; else sees to it that a post is noticed. */
  #notify(): void {
    if (this.#ready === null || this.#call !== null) return;
    if (this.#packets.length > 0 || (this.#inbox?.length ?? 0) > 0) this.#wake();
    else this.#inbox?.wait(() => this.#notify());
  }

  #wake(): void {
    const { world } = this;
    this.#call = world.clock.setTimeout(() => {
      const ready = this.#ready;
      this.unwatch();
      ready?.();
    }, world.delay(world.faults.wakeUp));
  }

  #check(action: string, syscall: string): void {
    if (this.#destroyed) throw closed(action, 'port', syscall);
  }

  #own<T extends SimulatedHandle>(handle: T): T {
    assert(handle.host === this, 'the socket is not of this port');
    assert(!handle.closing, 'the socket is closed');
    return handle;
  }

  #connection(socket: PortSocket): SimulatedSocket {
    assert(socket instanceof SimulatedSocket, 'not a connection');
    return this.#own(socket);
  }
}

function describe({ operation, socket, bytes, data, error }: CompletionPacket): string {
  const { slot, generation } = (socket as SimulatedHandle | null) ?? { slot: '-', generation: '-' };
  const name = names.find((key) => Operation[key] === operation);
  return `slot ${slot}, generation ${generation}: ${name} ${error?.code ?? (data === null ? bytes : `${bytes} bytes`)}`;
}

function cannotWait(call: string): IocpError {
  return new IocpError('wait for packets', 'time is virtual: use watch(), and run the simulation', 'ENOTSUP', call);
}
