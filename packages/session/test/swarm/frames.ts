// What the swarm's connections carry: frames that say who sent them and as which, so that a byte that is lost, doubled, out of
// place or somebody else's shows.
//
//   kind (1)  sender (2)  number (4)  length (2)  payload, which follows from sender and number

import assert from 'node:assert';
import { Random } from '@overlapped/iocp-native/testing';

const HEADER = 9;
export const LARGEST = 8000;

export const Kind = { Direct: 1, Broadcast: 2 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

const random = new Random(1);
const PHASES = 1024;
const noise = Buffer.from(Array.from({ length: PHASES + LARGEST }, () => random.below(256)));

function payload(sender: number, number: number, length: number): Buffer {
  const phase = (sender * 31 + number * 7) % PHASES;
  return noise.subarray(phase, phase + length);
}

/** Whether somebody else sent this directly. */
export function isDirectFrom(frame: Buffer, own: number): boolean {
  return frame[0] === Kind.Direct && frame.readUInt16LE(1) !== own;
}

export function frame(kind: Kind, sender: number, number: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER + length);
  bytes[0] = kind;
  bytes.writeUInt16LE(sender, 1);
  bytes.writeUInt32LE(number, 3);
  bytes.writeUInt16LE(length, 7);
  payload(sender, number, length).copy(bytes, HEADER);
  return bytes;
}

/** Follows what comes on one connection. Asserts that each frame is whole, what it says it is, and the next of its sender. */
export class FrameReader {
  /** Bytes, and those of broadcasts among them. */
  total = 0;
  broadcast = 0;
  /** What the other end sends directly; an echo of our own frames counts for itself. */
  readonly #own: number;
  #other = -1;
  #rest: Buffer = Buffer.alloc(0);
  readonly #next = new Map<number, number>();
  #lastBroadcast = -1;

  constructor(own: number) {
    this.#own = own;
  }

  /** @param onFrame gets each frame that is whole now: borrowed from `data`, or `data` itself, where it lies there. */
  push(data: Buffer, onFrame?: (frame: Buffer) => void): void {
    this.total += data.length;
    let rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    while (rest.length >= HEADER) {
      const length = HEADER + rest.readUInt16LE(7);
      if (rest.length < length) break;
      const whole = rest.subarray(0, length);
      this.#check(whole);
      onFrame?.(rest === data && length === data.length ? data : whole);
      rest = rest.subarray(length);
    }
    this.#rest = rest.length === 0 ? rest : Buffer.from(rest);
  }

  /** The stream has ended in order: nothing may be left over. */
  end(): void {
    assert.strictEqual(this.#rest.length, 0, 'the stream ends in the middle of a frame');
  }

  #check(whole: Buffer): void {
    const sender = whole.readUInt16LE(1);
    const number = whole.readUInt32LE(3);
    assert(
      payload(sender, number, whole.length - HEADER).equals(whole.subarray(HEADER)),
      'the bytes of a frame changed',
    );
    if (whole[0] === Kind.Broadcast) {
      assert(number > this.#lastBroadcast, `broadcast ${number} comes after ${this.#lastBroadcast}`);
      this.#lastBroadcast = number;
      this.broadcast += whole.length;
      return;
    }
    assert.strictEqual(whole[0], Kind.Direct, 'no frame begins here');
    if (sender !== this.#own) {
      if (this.#other === -1) this.#other = sender;
      assert.strictEqual(sender, this.#other, 'a frame of another connection');
    }
    const expected = this.#next.get(sender) ?? 0;
    assert.strictEqual(number, expected, `frame ${number} of ${sender} comes in the place of ${expected}`);
    this.#next.set(sender, expected + 1);
  }
}
