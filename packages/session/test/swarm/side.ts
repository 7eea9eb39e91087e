// One end of a connection of the swarm, as its ledger: what it sent, what it got, and how it ended. When a stream ends in order,
// the two ledgers of a connection must agree, byte by byte.

import assert from 'node:assert';
import { FrameReader, frame, Kind, LARGEST } from './frames.js';

export class Side {
  readonly id: number;
  readonly reader: FrameReader;
  /** Bytes that are to arrive, unless the connection breaks. */
  accepted = 0;
  /** It was cut off by its own program: what it had accepted need not arrive. */
  cut = false;
  #frames = 0;

  constructor(id: number) {
    this.id = id;
    this.reader = new FrameReader(id);
  }

  /** The next frame of this side. Counts as accepted only when the caller says so. */
  next(length: number): Buffer {
    return frame(Kind.Direct, this.id, this.#frames, Math.min(length, LARGEST));
  }

  /** The last frame, or what else was sent, has been taken. */
  accept(bytes: number, isFrame = true): void {
    this.accepted += bytes;
    if (isFrame) this.#frames++;
  }
}

/** Who talks to whom, by the two port numbers of a connection. */
export class Sides {
  readonly #byPorts = new Map<string, Side[]>();
  #ids = 0;

  create(): Side {
    return new Side(++this.#ids);
  }

  join(side: Side, one: number, other: number): void {
    const name = `${Math.min(one, other)}-${Math.max(one, other)}`;
    const sides = this.#byPorts.get(name);
    if (sides) sides.push(side);
    else this.#byPorts.set(name, [side]);
  }

  /** Whether the other end was cut off by its own program: what it sent may end anywhere. */
  otherCut(side: Side): boolean {
    return this.#otherOf(side)?.cut ?? false;
  }

  /** A side has got the other one's FIN: then it has got everything. */
  ended(side: Side): void {
    const other = this.#otherOf(side);
    if (other?.cut) return;
    side.reader.end();
    const { total, broadcast } = side.reader;
    assert.strictEqual(total - broadcast, other?.accepted ?? 0, 'what was sent before a graceful end has arrived');
  }

  #otherOf(side: Side): Side | undefined {
    const sides = [...this.#byPorts.values()].find((pair) => pair.includes(side)) ?? [];
    return sides.find((candidate) => candidate !== side);
  }
}
