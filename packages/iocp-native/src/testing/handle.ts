// The common part of a socket and a listener of the simulation: completions that take their time, and a close that does.

import assert from 'node:assert';
import type { DatagramState } from '../port/datagrams.js';
import { LoopSocket } from '../port/loop-socket.js';
import type { Kind } from '../port/socket.js';
import type { SimulatedDriver } from './driver.js';

export abstract class SimulatedHandle extends LoopSocket<SimulatedDriver> {
  /** Completions that are on their way. */
  readonly #due = new Set<() => void>();
  #reset = false;
  #releasing = false;
  #released = false;

  constructor(driver: SimulatedDriver, kind: Kind, datagrams: DatagramState | null = null) {
    super(driver, kind, datagrams);
  }

  /** Cancels operations in flight. Each gives its packet, now or later. */
  abstract cancelAll(): void;
  /** Ends the operations that cancelAll() lets go on. */
  abstract endAll(): void;
  /** Gives up the connections left with the network. */
  abstract release(reset: boolean): void;

  override get gone(): boolean {
    return this.#released;
  }

  override close(reset: boolean): void {
    this.#reset = reset;
    this.cancelAll();
  }

  override abandon(): void {
    this.endAll();
    for (const run of this.#due) run();
    this.#release();
  }

  /** The close cuts a send short, which makes it a reset: the peer must not take a part for the whole. */
  protected cutShort(): void {
    this.#reset = true;
  }

  /** An operation completes in up to `faults.completion` milliseconds. */
  protected complete(run: () => void): void {
    const once = () => {
      if (this.#due.delete(once)) run();
    };
    this.#due.add(once);
    this.driver.complete(this.driver.world.faults.completion, this, once);
  }

  /** Phase two of the close: the handle is gone in up to `faults.completion` milliseconds. */
  releaseSoon(): void {
    if (this.#releasing) return;
    this.#releasing = true;
    const { driver, port } = this;
    const { faults, random } = driver.world;
    driver.complete(faults.completion, this, () => {
      this.#release();
      port.proceed(this);
      if (!random.chance(faults.latePacket)) return;
      driver.complete(10 * faults.latency, this, () => assert.fail('a late packet reached another socket'));
    });
  }

  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.release(this.#reset);
  }

  /** The simulated network has every option, and ignores it. */
  protected override applyOption(): void {}
}
