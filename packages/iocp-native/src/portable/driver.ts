// The portable driver: node:net and node:dgram perform the operations, and their callbacks queue the packets.

import { AsyncResource } from 'node:async_hooks';
import { createServer } from 'node:net';
import { checkPath, endpointText, isPipe } from '../contract/endpoint.js';
import type { DatagramOptions, Endpoint, ListenOptions, PipeEndpoint, PortOptions } from '../contract/port.js';
import { BlockStore, type NativeBlock, plainMemory } from '../native/memory.js';
import { LoopDriver } from '../port/loop-driver.js';
import type { LoopSocket } from '../port/loop-socket.js';
import { Port } from '../port/port.js';
import { hostOf, pathFor } from './address.js';
import { closeAll, openDatagrams, PortableDatagrams } from './datagrams.js';
import { closed, fromNode, needsKernel } from './errors.js';
import { PortableListener } from './listener.js';
import { PortableSocket } from './socket.js';
import { nodeOptions } from './socket-options.js';

// A test may put another clock in its place later, which would stop the network.
const { setImmediate } = globalThis;

const store = new BlockStore(plainMemory);

export function openPortable(options: Required<PortOptions>): Port<LoopSocket> {
  const driver = (port: Port<LoopSocket>) => new PortableDriver(port);
  return new Port({ backend: 'portable', native: false, blocks: store, driver }, options);
}

export class PortableDriver extends LoopDriver {
  protected override readonly whyNoWait = 'the portable backend cannot wait; use watch()';
  /** The context that opened the port. Without it the watcher would run in the context of the last completion. */
  readonly #context = new AsyncResource('OverlappedPort');
  /** Keeps the event loop alive while the port is watched. */
  readonly #hold = setInterval(() => {}, 2 ** 30).unref();
  /** Sockets of Node that have not emitted 'close': the system may still read memory of the port. */
  #open = 0;
  /** Blocks of the closed port, until `#open` is 0. */
  #abandoned: NativeBlock[] = [];

  override async listen(local: Endpoint | PipeEndpoint, options: ListenOptions): Promise<LoopSocket> {
    const action = `listen on ${endpointText(local)}`;
    if (options.detached || options.reusePort) throw needsKernel(action, 'listen');
    if (isPipe(local)) checkPath(local, action);
    const at = isPipe(local) ? { path: pathFor(local) } : { host: hostOf(local), port: local.port };
    const server = createServer({
      pauseOnConnect: true,
      allowHalfOpen: true,
      ...nodeOptions(options, isPipe(local), action),
    });
    const { backlog = 4096, ipv6Only = false } = options;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => reject(fromNode(action, 'listen', cause)));
      server.listen({ ...at, backlog, ipv6Only, exclusive: true }, resolve);
    });
    if (this.stopped) {
      server.close();
      throw closed(action, 'port', 'listen');
    }
    return this.port.add(new PortableListener(this, server));
  }

  override async bind(local: Endpoint, options: DatagramOptions): Promise<LoopSocket> {
    const opened = await openDatagrams(local, options);
    if (this.stopped) {
      closeAll(opened.raw, opened.ipv4);
      throw closed(`bind to ${endpointText(local)}`, 'port', 'bind');
    }
    return this.port.add(new PortableDatagrams(this, opened, local.family, options.remote ?? null));
  }

  override adopt(): never {
    throw needsKernel('adopt a connection', 'adopt');
  }

  /** There are no handles. */
  override discard(): void {}

  override connection(): LoopSocket {
    return this.port.add(new PortableSocket(this, null));
  }

  override watch(ready: () => void): void {
    this.#hold.ref();
    super.watch(ready);
  }

  override unwatch(): void {
    this.#hold.unref();
    super.unwatch();
  }

  override stop(): void {
    super.stop();
    clearInterval(this.#hold);
  }

  override drain(): boolean {
    super.drain();
    return this.#open === 0;
  }

  override destroy(): void {
    if (this.#open === 0) this.port.buffers.wipe();
  }

  override abandon(block: NativeBlock): void {
    this.#abandoned.push(block);
  }

  /** A socket of Node may be given memory of the port from now on. */
  opened(): void {
    this.#open++;
  }

  /** It has emitted 'close'. */
  released(): void {
    if (--this.#open > 0 || this.#abandoned.length === 0) return;
    this.port.buffers.wipe();
    for (const block of this.#abandoned) store.give(block);
    this.#abandoned = [];
  }

  protected override schedule(run: () => void): NodeJS.Immediate {
    return this.#context.runInAsyncScope(setImmediate, undefined, run);
  }

  protected override unschedule(call: unknown): void {
    clearImmediate(call as NodeJS.Immediate);
  }
}
