// ClientService: keeps sessions to one target alive, for a server that depends on others. A connection that fails or ends
// is opened again after a pause, which grows while none lives.

import { checkGrace, type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import { report, warn } from '../failures.js';
import { checkService } from '../options.js';
import { asError } from '../outcomes.js';
import type { Session } from '../session/session.js';
import { DEFAULT_GRACE } from '../session/session-set.js';
import { Connector, type ConnectorOptions, type ConnectTarget } from './connector.js';

/** Whom a service keeps sessions to, how many, and how it comes back when they end. */
export interface ClientServiceOptions extends ConnectorOptions {
  /** Its name is resolved anew for each connect. */
  readonly target: ConnectTarget;
  /** Sessions to keep. Default 1. */
  readonly count?: number;
  /** Milliseconds for each connect. Default 10,000. */
  readonly connectTimeout?: number;
  /**
   * The first pause and the longest, in milliseconds. It doubles each time, starts anew after a session that has lived
   * longer than it, and is cut at random by up to a half, so that many clients do not come back at once. Default 100 and
   * 30,000.
   */
  readonly backOff?: {
    /** Above 0. */
    readonly first: number;
    /** At least `first`. */
    readonly most: number;
  };
  /**
   * A connect has failed, or a session is over, and the next connect starts in `delay` milliseconds. `error` is why;
   * undefined after a session that ended in order.
   */
  readonly onReconnecting?: (error: Error | undefined, delay: number) => void;
}

const CONNECT_TIMEOUT = 10_000;
const BACK_OFF = { first: 100, most: 30_000 };

/** Keeps sessions to one target alive, on the thread of its core, which stops it. */
export class ClientService implements Stoppable {
  readonly #core: IocpCore;
  readonly #options: ClientServiceOptions;
  readonly #connector: Connector;
  /** What each session's end wakes. */
  readonly #ends = new Map<Session, (error: Error | undefined) => void>();
  /** Pauses under way, and what ends them. */
  readonly #pauses = new Map<Timer, () => void>();
  #stopped: Promise<void> | undefined;

  /** Starts to connect. Throws a TypeError or RangeError for an option that is none, or makes no sense. */
  constructor(core: IocpCore, options: ClientServiceOptions) {
    checkService(options);
    const { count = 1, backOff = BACK_OFF, connectTimeout = CONNECT_TIMEOUT } = options;
    if (!(Number.isInteger(count) && count > 0))
      throw new RangeError(`count must be a whole number above 0, not ${count}`);
    if (!(connectTimeout > 0)) throw new RangeError(`connectTimeout must be above 0, not ${connectTimeout}`);
    if (!(backOff.first > 0 && backOff.first <= backOff.most)) {
      throw new RangeError(`the back-off must be 0 < first <= most, not ${backOff.first} and ${backOff.most}`);
    }
    this.#core = core;
    this.#options = options;
    this.#connector = new Connector(core, options, (session, error) => this.#ends.get(session)?.(error));
    core.attach(this);
    for (let i = 0; i < count; i++) void this.#keepOne(backOff.first, backOff.most);
  }

  /** The sessions that are open. */
  get sessions(): ReadonlySet<Session> {
    return this.#connector.sessions;
  }

  /**
   * Connects no more and ends the sessions; what has not ended after `grace` milliseconds (default 5000) is destroyed. A
   * session that is used as a stream is left to whom that was given.
   */
  stop(grace = DEFAULT_GRACE): Promise<void> {
    checkGrace(grace);
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  /** `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(grace: number): Promise<void> {
    for (const [timer, end] of this.#pauses) {
      this.#core.timers.clear(timer);
      end();
    }
    await this.#connector.stop(grace);
    this.#core.detach(this);
  }

  async #keepOne(first: number, most: number): Promise<void> {
    for (let pause = first; this.#stopped === undefined; pause = Math.min(2 * pause, most)) {
      const { error, lived } = await this.#live();
      if (this.#stopped !== undefined) return;
      if (lived > pause) pause = first;
      const delay = Math.ceil(pause * (1 - Math.random() / 2));
      try {
        this.#options.onReconnecting?.(error, delay);
      } catch (thrown) {
        report(this.#core, null, asError(thrown));
        warn(this.#core, 'onReconnecting failed', thrown);
      }
      await this.#pause(delay);
    }
  }

  /** Connects, and waits for the session's end. */
  async #live(): Promise<{ error: Error | undefined; lived: number }> {
    const { target, connectTimeout: timeout = CONNECT_TIMEOUT } = this.#options;
    let session: Session;
    try {
      session = await this.#connector.connect(target, { timeout });
    } catch (error) {
      return { error: asError(error), lived: 0 };
    }
    // Its Close packet, which ends it, comes out of a later batch.
    const { timers } = this.#core;
    const born = timers.now;
    const error = await new Promise<Error | undefined>((resolve) => this.#ends.set(session, resolve));
    this.#ends.delete(session);
    return { error, lived: timers.now - born };
  }

  #pause(delay: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = new Timer(() => {
        this.#pauses.delete(timer);
        resolve();
      });
      this.#pauses.set(timer, resolve);
      this.#core.timers.set(timer, delay);
    });
  }
}
