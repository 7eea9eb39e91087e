// A port under test with its pump and its events, and the few steps that most rules begin with.

import { expect, onTestFinished } from 'vitest';
import {
  type CompletionPort,
  type Endpoint,
  GatherList,
  type ListenOptions,
  type PipeEndpoint,
  type PortSocket,
  type SocketOptions,
} from '../../src/contract/port.js';
import { type TestEvent, TestEvents } from './event.js';
import { loopback, type PeerNetwork } from './network.js';
import { Peer, PeerServer } from './peer.js';
import { type Packet, Pump } from './pump.js';

export const LOOPBACK: Endpoint = { address: '127.0.0.1', family: 4, port: 0 };

export class Rig {
  readonly port: CompletionPort;
  readonly pump: Pump;
  readonly events: TestEvents;
  readonly #network: PeerNetwork;
  readonly #peers: Peer[] = [];

  /** Pumps the port until the test ends, then destroys it; a packet for a slot of another time fails the test. */
  constructor(port: CompletionPort, network = loopback) {
    this.port = port;
    this.#network = network;
    this.pump = new Pump(port);
    this.events = new TestEvents(port);
    this.pump.start();
    onTestFinished(() => {
      this.pump.end();
      port.destroy();
      for (const peer of this.#peers) peer.raw.destroy();
      const { inFlight, sockets, buffersOut, dropped } = port.stats;
      expect({ inFlight, sockets, buffersOut, dropped }).toEqual({
        inFlight: 0,
        sockets: 0,
        buffersOut: 0,
        dropped: 0,
      });
    });
  }

  event(): TestEvent {
    return this.events.take();
  }

  listen(options?: ListenOptions, local: Endpoint | PipeEndpoint = LOOPBACK): Promise<PortSocket> {
    return this.port.listen(local, options);
  }

  /** Starts an accept. */
  accept(listener: PortSocket): TestEvent {
    const event = this.event();
    this.port.accept(listener, event);
    return event;
  }

  peer(to: Endpoint | PipeEndpoint, reading = true): Peer {
    const peer = new Peer(this.#network.connect(to), reading);
    this.#peers.push(peer);
    return peer;
  }

  /** A server of peers. */
  server(at?: PipeEndpoint): Promise<PeerServer> {
    return PeerServer.listen(this.#network, at);
  }

  /** Starts a receive stream. */
  receive(socket: PortSocket): TestEvent {
    const event = this.event();
    this.port.receive(socket, event);
    return event;
  }

  /** A connection that the port accepted, and its peer. */
  async served(reading = true, options?: ListenOptions): Promise<{ socket: PortSocket; peer: Peer }> {
    const listener = await this.listen(options);
    const event = this.accept(listener);
    const peer = this.peer(listener.localEndpoint(), reading);
    const { socket, error } = await this.pump.next('Accept', event);
    expect(error).toBeNull();
    await peer.until('the connection', () => peer.connected);
    await this.close(listener);
    return { socket: socket!, peer };
  }

  /** A connection of which the port has both ends. */
  async pair(options?: SocketOptions): Promise<{ server: PortSocket; client: PortSocket }> {
    const listener = await this.listen(options);
    const pair = await this.dial(listener, options);
    await this.close(listener);
    return pair;
  }

  async dial(
    listener: PortSocket,
    options?: SocketOptions,
    to: Endpoint | PipeEndpoint = listener.localEndpoint(),
  ): Promise<{ server: PortSocket; client: PortSocket }> {
    const accepting = this.accept(listener);
    const connecting = this.event();
    const client = this.port.connect(connecting, to, undefined, options);
    expect((await this.pump.next('Connect', connecting)).error).toBeNull();
    const { socket, error } = await this.pump.next('Accept', accepting);
    expect(error).toBeNull();
    return { server: socket!, client };
  }

  /** A gather list of pieces copied into memory of the port. */
  gather(...pieces: (Uint8Array | string)[]): GatherList {
    const list = new GatherList();
    const buffers = pieces.map((piece) => Buffer.from(piece as Uint8Array));
    const block = this.port.allocate(Math.max(1, Buffer.concat(buffers).length));
    let offset = 0;
    for (const bytes of buffers) {
      block.bytes.set(bytes, offset);
      list.add(block, offset, bytes.length);
      offset += bytes.length;
    }
    return list;
  }

  /** Starts a send. */
  send(socket: PortSocket, ...pieces: (Uint8Array | string)[]): TestEvent {
    const event = this.event();
    this.port.send(socket, event, this.gather(...pieces));
    return event;
  }

  /** Sends and waits for the packet. */
  async sent(socket: PortSocket, ...pieces: (Uint8Array | string)[]): Promise<Packet> {
    return this.pump.next('Send', this.send(socket, ...pieces));
  }

  /** The next `length` bytes of a running stream. */
  async read(event: TestEvent, length: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for (let have = 0; have < length; ) {
      const { data, error } = await this.pump.next('Receive', event);
      expect(error).toBeNull();
      expect(data, 'the stream ended early').not.toBeNull();
      chunks.push(data!);
      have += data!.length;
    }
    return Buffer.concat(chunks);
  }

  /** Skips data to the last packet of a stream. */
  async endOf(event: TestEvent): Promise<Packet> {
    for (;;) {
      const packet = await this.pump.next('Receive', event);
      if (packet.data === null) return packet;
    }
  }

  close(socket: PortSocket, reset?: boolean): Promise<Packet> {
    this.port.close(socket, reset);
    return this.pump.next('Close', socket);
  }

  /** Bytes there and back on a connection of their own: by then the port has worked on what came before. */
  async roundTrips(times: number): Promise<void> {
    const { socket, peer } = await this.served();
    const stream = this.receive(socket);
    for (let i = 0; i < times; i++) {
      await peer.write('ping');
      expect(String(await this.read(stream, 4))).toBe('ping');
      await this.sent(socket, 'pong');
      expect(String(await peer.read(4))).toBe('pong');
    }
    await this.close(socket);
    await this.endOf(stream);
  }
}
