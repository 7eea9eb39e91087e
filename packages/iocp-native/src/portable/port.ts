// The portable completion port: a queue of packets that node:net fills from the event loop. It cannot wait, so
// dequeue() takes no timeout; watch() tells when to call it.

import assert from 'node:assert';
import { AsyncResource } from 'node:async_hooks';
import { createConnection, createServer, type NetConnectOpts, Socket } from 'node:net';
import { checkPath, endpointText, isPipe } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import {
  type CompletionPacket,
  type CompletionPort,
  type DatagramOptions,
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
  type SocketOptions,
} from '../contract/port.js';
import { BlockStore, type NativeBlock, plainMemory } from '../native/memory.js';
import { checkEvent, checkFileRange } from '../port/checks.js';
import { PacketQueue } from '../port/packet-queue.js';
import { FreeList, ReceiveBuffers } from '../port/receive-buffers.js';
import { hasZone, hostOf, pathFor } from './address.js';
import { closeAll, openDatagrams, PortableDatagrams } from './datagrams.js';
import { closed, fromNode, hasNoOption, needsKernel } from './errors.js';
import type { Host, PortableHandle, Starving } from './handle.js';
import { Inbox } from './inbox.js';
import { PortableListener } from './listener.js';
import { idleSeconds, PortableSocket } from './socket.js';

// A test may put another clock in its place later, which would stop the network.
const { setImmediate } = globalThis;

const store = new BlockStore(plainMemory);

export class PortablePort implements CompletionPort, Host {
  readonly backend = 'portable';
  readonly native = false;
  readonly concurrency: number;
  readonly receiveBlock: NativeBlock;
  readonly buffers: ReceiveBuffers;
  readonly #bufferStats = { buffersOut: 0 };
  readonly #free: FreeList;
  readonly #blocks: NativeBlock[] = [];
  readonly #stats = { inFlight: 0, sockets: 0, packets: 0, wakeUps: 0, starved: 0 };
  readonly #packets = new PacketQueue();
  readonly #handles = new Set<PortableHandle>();
  /** The events in flight. */
  readonly #events = new Set<Overlapped>();
  /** Sockets with bytes and no buffer, the one that waited longest first. */
  readonly #starving = new Set<Starving>();
  #inbox: Inbox | null = null;
  #ready: (() => void) | null = null;
  #call: NodeJS.Immediate | null = null;
  /** Holds the event loop while the port is watched. */
  /** The context that opened the port. Without it a turn of the loop would have that of whatever completed last. */
  readonly #context = new AsyncResource('OverlappedPort');
  readonly #hold = setInterval(() => {}, 2 ** 30).unref();
  #destroyed = false;

  constructor({ concurrency, receiveBuffers: { count, size } }: Required<PortOptions>) {
    this.concurrency = concurrency;
    this.receiveBlock = this.allocate(ReceiveBuffers.bytesFor(count, size));
    this.buffers = new ReceiveBuffers(this.receiveBlock, count, size, this.#bufferStats);
    this.#free = new FreeList(count);
  }

  get stats(): Readonly<PortStats> {
    return { ...this.#stats, buffersOut: this.buffers.out, dropped: 0 };
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
    if (options.detached || options.reusePort) throw needsKernel(action, 'listen');
    if (isPipe(local)) checkPath(local, action);
    const at = isPipe(local) ? { path: pathFor(local) } : { host: hostOf(local), port: local.port };
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, ...nodeOptions(options, action) });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => reject(fromNode(action, 'listen', cause)));
      server.listen(
        {
          ...at,
          backlog: options.backlog ?? 4096,
          ipv6Only: options.ipv6Only ?? false,
          exclusive: true,
        },
        resolve,
      );
    });
    if (this.#destroyed) {
      server.close();
      throw closed(action, 'port', 'listen');
    }
    return new PortableListener(this, server);
  }

  accept(listener: PortSocket, event: Overlapped): void {
    this.#check('accept a connection', 'accept');
    assert(listener instanceof PortableListener, 'accept() on what does not listen');
    this.#own(listener).accept(event);
  }

  adopt(): PortSocket {
    this.#check('adopt a connection', 'adopt');
    throw needsKernel('adopt a connection', 'adopt');
  }

  connect(event: Overlapped, remote: Endpoint | PipeEndpoint, key: unknown, options: SocketOptions = {}): PortSocket {
    const action = `connect to ${endpointText(remote)}`;
    this.#check(action, 'connect');
    assert(!event.pending, 'the event is already in flight');
    const to = isPipe(remote) ? remote : { host: hostOf(remote), port: remote.port };
    const raw = connectRaw({ ...to, allowHalfOpen: true }, options, action);
    raw.pause();
    const socket = new PortableSocket(this, raw);
    socket.key = key;
    socket.connect(event, remote);
    // From Node 24 on libuv takes any zone, and the connect would wait for an answer that cannot come.
    if (!isPipe(remote) && !hasZone(remote)) raw.destroy(Object.assign(new Error('no such zone'), { code: 'EINVAL' }));
    return socket;
  }

  receive(socket: PortSocket, event: Overlapped): void {
    this.#check('receive', 'receive');
    if (socket instanceof PortableDatagrams) this.#own(socket).receive(event);
    else this.#connection(socket).receive(event);
  }

  send(socket: PortSocket, event: Overlapped, pieces: GatherList): void {
    this.#check('send', 'send');
    this.#connection(socket).send(event, pieces);
  }

  async bind(local: Endpoint, options: DatagramOptions = {}): Promise<PortSocket> {
    this.#check(`bind to ${endpointText(local)}`, 'bind');
    const opened = await openDatagrams(local, options);
    if (this.#destroyed) {
      closeAll(opened.raw, opened.ipv4);
      throw closed(`bind to ${endpointText(local)}`, 'port', 'bind');
    }
    return new PortableDatagrams(this, opened, local.family, options.remote ?? null);
  }

  sendTo(socket: PortSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    this.#check('send', 'send');
    assert(socket instanceof PortableDatagrams, 'not a datagram socket');
    this.#own(socket).send(event, pieces, to);
  }

  sendFile(socket: PortSocket, event: Overlapped, file: number, offset: number, length: number): void {
    this.#check('send a file', 'write');
    checkFileRange(offset, length);
    this.#connection(socket).sendFile(event, file, offset, length);
  }

  shutdown(socket: PortSocket): void {
    this.#check('shut the socket down', 'shutdown');
    this.#connection(socket).shutdown();
  }

  cancel(socket: PortSocket, event: Overlapped): void {
    this.#check('cancel', 'cancel');
    const handle = socket as PortableHandle;
    if (!handle.closing) this.#own(handle).cancel(event);
  }

  close(socket: PortSocket, reset = false): void {
    this.#check('close the socket', 'close');
    const handle = socket as PortableHandle;
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
    return { backend: 'portable', handle: -1, queue: this.#inbox.memory };
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    this.#check('dequeue', 'dequeue');
    if (timeout !== 0) throw cannotWait('dequeue');
    while (this.#inbox?.shift((key, bytes) => this.post(key, bytes)));
    const count = Math.min(batch.length, this.#packets.length);
    for (let i = 0; i < count; i++) {
      const owner = this.#packets.shift(batch[i]!);
      if (owner !== null) this.#finish(owner as PortableHandle, batch[i]!.event);
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
    this.#hold.ref();
    this.#notify();
  }

  unwatch(): void {
    this.#ready = null;
    this.#hold.unref();
    if (this.#call) clearImmediate(this.#call);
    this.#call = null;
  }

  waitForLoop(): void {
    this.#check('wait', 'waitForLoop');
    throw cannotWait('waitForLoop');
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.unwatch();
    clearInterval(this.#hold);
    this.#inbox?.close();
    this.#destroyed = true;
    this.#starving.clear();
    for (const event of this.#events) event.pending = false;
    this.#events.clear();
    this.#stats.inFlight = 0;
    this.#bufferStats.buffersOut = 0;
    if (this.#handles.size === 0) this.#giveMemory();
    for (const handle of [...this.#handles]) {
      handle.pending = 0;
      handle.closing = true;
      handle.abandon();
    }
    this.#stats.sockets = 0;
  }

  // The port as its sockets see it.

  start(owner: PortableHandle, event: Overlapped | null): void {
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
    owner: PortableHandle,
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

  opened(handle: PortableHandle): void {
    this.#handles.add(handle);
    this.#stats.sockets++;
  }

  gone(handle: PortableHandle): void {
    this.#handles.delete(handle);
    if (!this.#destroyed) this.#stats.sockets--;
    else if (this.#handles.size === 0) this.#giveMemory();
  }

  #finish(owner: PortableHandle, event: Overlapped | null): void {
    owner.pending--;
    this.#stats.inFlight--;
    if (event === null) return;
    event.pending = false;
    this.#events.delete(event);
  }

  /** Calls the watcher from the loop when there is something to dequeue; else sees to it that a post is noticed. */
  #notify(): void {
    if (this.#ready === null || this.#call !== null) return;
    if (this.#packets.length > 0 || (this.#inbox?.length ?? 0) > 0) {
      this.#call = this.#context.runInAsyncScope(setImmediate, undefined, () => {
        const ready = this.#ready;
        this.unwatch();
        ready?.();
      });
    } else {
      this.#inbox?.wait(() => this.#notify());
    }
  }

  // Only when nothing of any socket is with the system, which may still read what is being sent.
  #giveMemory(): void {
    this.buffers.wipe();
    for (const block of this.#blocks) if (block !== this.receiveBlock) store.give(block);
    this.#blocks.length = 0;
  }

  #check(action: string, syscall: string): void {
    if (this.#destroyed) throw closed(action, 'port', syscall);
  }

  #own<T extends PortableHandle>(handle: T): T {
    assert(handle.host === this, 'the socket is not of this port');
    assert(!handle.closing, 'the socket is closed');
    return handle;
  }

  #connection(socket: PortSocket): PortableSocket {
    assert(socket instanceof PortableSocket, 'not a connection');
    return this.#own(socket);
  }
}

/** A socket that connects; one that fails at once, as any other tells by events. */
function connectRaw(to: NetConnectOpts, options: SocketOptions, action: string): Socket {
  try {
    if ('path' in to) checkPath({ path: to.path }, action);
    return createConnection({ ...to, ...nodeOptions(options, action) });
  } catch (error) {
    return new Socket().destroy(error as Error);
  }
}

/** Throws an IocpError (ENOTSUP) for what node:net has no option for. */
function nodeOptions(options: SocketOptions, action: string) {
  const { noDelay = true, keepAlive = 0, sendBufferSize, receiveBufferSize } = options;
  if (sendBufferSize !== undefined || receiveBufferSize !== undefined) throw hasNoOption(action);
  const seconds = idleSeconds(keepAlive, action);
  return { noDelay, keepAlive: seconds > 0, keepAliveInitialDelay: seconds * 1000 };
}

function cannotWait(call: string): IocpError {
  return new IocpError('wait for packets', 'the portable backend cannot wait; use watch()', 'ENOTSUP', call);
}
