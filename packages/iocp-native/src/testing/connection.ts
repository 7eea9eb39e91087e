// A connection of the simulated network, as its two ends. Each direction keeps its order and has a window; between the ends
// bytes travel in pieces, which take their time.
//
//   write() -> on its way, in pieces -> #unread -> read()       the window bounds the bytes between write() and read()

import type { Endpoint } from '../contract/port.js';
import type { World } from './world.js';

/** The owner of one end: a socket of a port, or a peer. */
export interface EndOwner {
  /** There are bytes, or the other end's FIN. */
  onReadable(): void;
  /** There is room in the window again. */
  onWritable(): void;
  /** The connection is broken: see `broken`. */
  onBroken(): void;
}

export class End {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  owner: EndOwner | null = null;
  /** The other end's FIN has come, after the last byte that can be read. */
  finished = false;
  /** Why nothing goes any more: an error code. */
  broken: string | null = null;
  readonly #world: World;
  #other!: End;
  readonly #unread: Buffer[] = [];
  /** Bytes that have come and were not read. */
  unread = 0;
  /** Bytes sent and not read by the other end. */
  #outstanding = 0;
  /** The piece sent last, while it is on its way: the next bytes may join it. */
  #flying: { bytes: Buffer } | null = null;
  /** Bytes arrive at the other end no earlier than this. */
  #lastArrival = 0;
  #shut = false;
  #closed = false;

  private constructor(world: World, local: Endpoint, remote: Endpoint) {
    this.#world = world;
    this.local = local;
    this.remote = remote;
  }

  /** @param seen how the server sees a client's or its own address. */
  static pair(world: World, from: Endpoint, to: Endpoint, seen: (of: Endpoint) => Endpoint) {
    const client = new End(world, from, to);
    const server = new End(world, seen(to), seen(from));
    client.#other = server;
    server.#other = client;
    return { client, server };
  }

  /** Bytes that write() takes now. */
  get room(): number {
    return this.#world.faults.window - this.#outstanding;
  }

  /** Sends as many bytes as there is room for, and gives their count. They are copied. */
  write(bytes: Uint8Array): number {
    const { random, faults } = this.#world;
    const length = Math.min(bytes.length, this.room);
    this.#outstanding += length;
    for (let at = 0; at < length; ) {
      const end = Math.min(length, at + random.between(1, faults.segment));
      this.#fly(Buffer.from(bytes.subarray(at, end)));
      at = end;
    }
    return length;
  }

  #fly(bytes: Buffer): void {
    const { random, faults } = this.#world;
    const last = this.#flying;
    if (last !== null && last.bytes.length + bytes.length <= faults.segment && random.chance(0.5)) {
      last.bytes = Buffer.concat([last.bytes, bytes]);
      return;
    }
    const piece = { bytes };
    this.#flying = piece;
    this.#arrive(() => {
      if (this.#flying === piece) this.#flying = null;
      this.#other.#receive(piece.bytes);
    });
  }

  /** Sends the FIN: no write() may follow. */
  shutdown(): void {
    if (this.#shut || this.broken !== null) return;
    this.#shut = true;
    this.#arrive(() => this.#other.#finish());
  }

  /** Takes up to `most` bytes of the piece that came first, into `into` at `offset`. Gives how many. */
  read(into: Uint8Array, offset: number, most: number): number {
    const piece = this.#unread[0]!;
    const length = Math.min(most, piece.length);
    into.set(length === piece.length ? piece : piece.subarray(0, length), offset);
    if (length === piece.length) this.#unread.shift();
    else this.#unread[0] = piece.subarray(length);
    this.#taken(length);
    return length;
  }

  /** The same without a copy: the whole piece. */
  take(): Buffer {
    const piece = this.#unread.shift()!;
    this.#taken(piece.length);
    return piece;
  }

  /** This end has no owner any more. Unread bytes make it a reset, as TCP has it. */
  close(reset: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.owner = null;
    if (this.broken !== null) return;
    if (reset || this.unread > 0) this.#reset();
    else this.shutdown();
  }

  /** The network breaks the connection, for both ends. */
  cut(): void {
    this.break('ECONNRESET');
    this.#other.break('ECONNRESET');
  }

  break(code: string): void {
    if (this.broken !== null) return;
    this.broken = code;
    // Some systems let the program read the bytes that had come, some do not.
    if (this.#world.random.chance(0.5)) {
      this.#unread.length = 0;
      this.unread = 0;
    }
    this.owner?.onBroken();
  }

  #reset(): void {
    const { clock, random, faults } = this.#world;
    this.broken = 'ECONNRESET';
    const arrive = () => this.#other.break('ECONNRESET');
    // It may overtake bytes on their way, which are lost then.
    if (random.chance(0.5)) this.#arrive(arrive);
    else clock.setTimeout(arrive, this.#world.delay(faults.latency));
  }

  #arrive(run: () => void): void {
    const { clock, faults } = this.#world;
    this.#lastArrival = Math.max(this.#lastArrival, clock.now() + this.#world.delay(faults.latency));
    clock.schedule(run, this.#lastArrival);
  }

  #receive(piece: Buffer): void {
    if (this.broken !== null) return;
    if (this.#closed) {
      this.#reset();
      return;
    }
    const { random, faults } = this.#world;
    if (random.chance(faults.reset)) {
      if (this.#world.traced) this.#world.trace(`the network resets ${this.local.port}-${this.remote.port}`);
      this.cut();
      return;
    }
    this.#unread.push(piece);
    this.unread += piece.length;
    this.owner?.onReadable();
  }

  #finish(): void {
    if (this.broken !== null) return;
    this.finished = true;
    this.owner?.onReadable();
  }

  #taken(length: number): void {
    this.unread -= length;
    const other = this.#other;
    other.#outstanding -= length;
    // Bytes that the window had no room for go on when the other end has been told.
    this.#arrive(() => other.owner?.onWritable());
  }
}
