// One connection of the bench: keeps its messages under way, checks every byte that comes back, and takes the times.

import { Session } from '@overlapped/session';
import type { Histogram } from 'hdr-histogram-js';
import type { Pattern } from './pattern.js';

/** The server, or the way to it, did something wrong. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}

/** State that the clients of one bench share. */
export interface Run {
  /** Bytes of a message. */
  readonly size: number;
  /** Messages that a connection has under way. */
  readonly outstanding: number;
  readonly pattern: Pattern;
  /** Round trips, in microseconds. */
  readonly latencies: Histogram;
  /** A client is over. Without an error, everything that it sent has come back. */
  ended(error?: BenchError): void;
}

export class Client extends Session {
  /** Messages that came back. */
  messages = 0;
  readonly #number: number;
  readonly #run: Run;
  /** When each message under way was sent. */
  readonly #sentAt: Float64Array;
  #sent = 0;
  #checked = 0;
  #congested = false;
  #stopping = false;

  constructor(number: number, run: Run) {
    super();
    this.#number = number;
    this.#run = run;
    this.#sentAt = new Float64Array(run.outstanding);
  }

  start(): void {
    this.#fill();
  }

  /** Sends no more; ends when everything is back. */
  stop(): void {
    this.#stopping = true;
    this.#endWhenBack();
  }

  override onReceive(data: Buffer): void {
    const { pattern, size } = this.#run;
    const surplus = this.#checked + data.length - this.#sent * size;
    if (surplus > 0) throw new BenchError('more came back than was sent');
    const wrong = pattern.difference(this.#number, this.#checked, data);
    if (wrong >= 0) throw new BenchError(`byte ${this.#checked + wrong} came back changed`);
    this.#checked += data.length;
    this.#takeTimes();
    this.#fill();
    if (this.#stopping) this.#endWhenBack();
  }

  override onDrain(): void {
    this.#congested = false;
    this.#fill();
  }

  override onDisconnected(error?: Error): void {
    if (error === undefined && this.#stopping && this.#allBack()) {
      this.#run.ended();
    } else {
      const reason = error?.message ?? 'the server ended it';
      this.#run.ended(new BenchError(`connection ${this.#number} is lost: ${reason}`, { cause: error }));
    }
  }

  /** Of each message whose last byte has come. */
  #takeTimes(): void {
    const { size, outstanding, latencies } = this.#run;
    const now = performance.now();
    while ((this.messages + 1) * size <= this.#checked) {
      const microseconds = (now - this.#sentAt[this.messages % outstanding]!) * 1000;
      latencies.recordValue(Math.max(1, Math.round(microseconds)));
      this.messages++;
    }
  }

  #fill(): void {
    const { size, outstanding, pattern } = this.#run;
    while (!this.#stopping && !this.#congested && this.#sent - this.messages < outstanding) {
      this.#sentAt[this.#sent % outstanding] = performance.now();
      this.#congested = !this.send(pattern.at(this.#number, this.#sent * size, size));
      this.#sent++;
    }
  }

  #allBack(): boolean {
    return this.messages === this.#sent;
  }

  #endWhenBack(): void {
    if (this.#allBack()) this.end();
  }
}
