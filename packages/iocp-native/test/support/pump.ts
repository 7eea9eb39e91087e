// Dequeues whatever a port has, as a guest of the event loop, and keeps copies of the packets until a test asks for
// them.

import type { IocpError } from '../../src/contract/errors.js';
import {
  type CompletionPacket,
  type CompletionPort,
  createBatch,
  type Endpoint,
  Operation,
  type Overlapped,
  type PortSocket,
} from '../../src/contract/port.js';
import { Waits } from './waits.js';

/** A packet that outlives its batch. `data` is a copy. */
export interface Packet {
  readonly operation: Operation;
  readonly key: unknown;
  readonly event: Overlapped | null;
  readonly socket: PortSocket | null;
  readonly bytes: number;
  readonly handle: number;
  readonly data: Buffer | null;
  readonly buffer: number;
  readonly error: IocpError | null;
  readonly from: Endpoint | null;
}

type OperationName = keyof typeof Operation;
const names = Object.keys(Operation) as OperationName[];

function describePacket({ operation, error, bytes }: Packet): string {
  return `${names.find((name) => Operation[name] === operation)}(${error ? error.code : bytes})`;
}

// The event and the socket name all of a port's memory, so they are kept out of what a failed expectation prints.
function copyOf(packet: CompletionPacket): Packet {
  const { event, socket } = packet;
  const copy = { ...packet, data: packet.data && Buffer.from(packet.data) };
  return Object.defineProperties(copy, {
    event: { value: event, enumerable: false },
    socket: { value: socket, enumerable: false },
  });
}

const ROUNDS = 32;

export class Pump {
  /** Packets that no test has asked for yet, oldest first. */
  readonly packets: Packet[] = [];
  /** Keeps the receive buffers out: the test releases them. */
  holding = false;
  readonly #port: CompletionPort;
  readonly #batch = createBatch(32);
  readonly #waits = new Waits();
  readonly #taps = new Map<Overlapped, (packet: CompletionPacket) => void>();
  #running = false;

  constructor(port: CompletionPort) {
    this.#port = port;
  }

  /** The packets that no test has asked for, described. */
  get left(): string[] {
    return this.packets.map(describePacket);
  }

  start(): void {
    this.#running = true;
    this.#port.watch(this.#run);
  }

  stop(): void {
    this.end();
    this.#port.unwatch();
  }

  /** Looks at the port no more: it is, or will be, destroyed. */
  end(): void {
    this.#running = false;
  }

  /** The packets of this event go to `tap`, uncopied, and their buffers back afterwards. */
  tap(event: Overlapped, tap: (packet: CompletionPacket) => void): void {
    this.#taps.set(event, tap);
  }

  /** The oldest packet of this operation (and of this event or socket) that has not been asked for. */
  next(operation: OperationName, of?: Overlapped | PortSocket): Promise<Packet> {
    const what = () => `a packet of ${operation}; there are ${this.left.join(' ') || 'none'}`;
    return this.#waits.until(what, () => this.take(operation, of));
  }

  /** The same, if there is one already. */
  take(operation: OperationName, of?: Overlapped | PortSocket): Packet | undefined {
    const at = this.packets.findIndex(
      (p) => p.operation === Operation[operation] && (of === undefined || p.event === of || p.socket === of),
    );
    return at === -1 ? undefined : this.packets.splice(at, 1)[0];
  }

  /** Waits for what the packets so far bring about. */
  until<T>(what: string, test: () => T | undefined | false): Promise<T> {
    return this.#waits.until(what, test);
  }

  /** Posted packets there and back, `times` over: the port has had its chances to bring something else. */
  async turns(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      this.#port.post(this, i);
      await this.next('Post');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Dequeues until there is nothing; the port must be stopped or in the call of its watcher. */
  drain(rounds = Number.POSITIVE_INFINITY): boolean {
    for (let round = 0; round < rounds; round++) {
      const count = this.#port.dequeue(this.#batch, 0);
      if (count === 0) return true;
      for (let i = 0; i < count; i++) this.#take(this.#batch[i]!);
      this.#waits.check();
    }
    return false;
  }

  // After some rounds the peers, who share this thread, get their turn.
  readonly #run = (): void => {
    if (!this.#running) return;
    if (this.drain(ROUNDS)) this.#port.watch(this.#run);
    else setImmediate(this.#run);
  };

  #take(packet: CompletionPacket): void {
    const tap = packet.event && this.#taps.get(packet.event);
    if (tap) tap(packet);
    else this.packets.push(copyOf(packet));
    if (packet.buffer >= 0 && (tap || !this.holding)) this.#port.release(packet.buffer);
  }
}
