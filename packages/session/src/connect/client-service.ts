// ClientService: keeps sessions to one target open, for a server that depends on others. When a connection fails or ends, it
// connects again after a pause (exponential back-off with jitter).

import { checkGrace, DEFAULT_GRACE } from '@overlapped/iocp-native/internal';
import { type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import { type Core, internalsOf } from '@overlapped/net-core/internal';
import { report, warn } from '../failures.js';
import { checkService } from '../options.js';
import { asError } from '../outcomes.js';
import type { Session } from '../session/session.js';
import { Connector, type ConnectorOptions, type ConnectTarget } from './connector.js';

/** The target of a service, the number of sessions, and how it reconnects. */
export interface ClientServiceOptions extends ConnectorOptions {
  /** Where to connect. A name is resolved again for each connect. */
  readonly target: ConnectTarget;
  /** Number of sessions to keep open. A whole number above 0; default 1. */
  readonly count?: number;
  /** Timeout of each connect in milliseconds. Above 0; default 10,000. */
  readonly connectTimeout?: number;
  /**
   * The pause before a reconnect, in milliseconds. It starts with `first`, doubles each time up to `most`, and starts again with
   * `first` after a session that lived longer than the pause. Each pause is shortened by a random part of up to a half, so that many clients
   * do not reconnect at the same time. Default 100 and 30,000.
   */
  readonly backOff?: {
    /** Above 0. */
    readonly first: number;
    /** At least `first`. */
    readonly most: number;
  };
  /**
   * Called when a connect has failed, or a session is over. The next connect starts in `delay` milliseconds. `error` is the
   * reason, undefined after an orderly end.
   */
  readonly onReconnecting?: (error: Error | undefined, delay: number) => void;
}

const CONNECT_TIMEOUT = 10_000;
const BACK_OFF = { first: 100, most: 30_000 };

/** Keeps sessions to one target open. Use it on the thread of its core. core.stop() stops it. */
export class ClientService implements Stoppable {
  readonly #core: Core;
  readonly #options: ClientServiceOptions;
  readonly #connector: Connector;
  /** For each session: called with the reason when it is over. */
  readonly #ends = new Map<Session, (error: Error | undefined) => void>();
  /** Running pauses, each with a function that ends it. */
  readonly #pauses = new Map<Timer, () => void>();
  #stopped: Promise<void> | undefined;

  /** Starts to connect. Throws a TypeError or RangeError for an unknown or invalid option. */
  constructor(core: IocpCore, options: ClientServiceOptions) {
    checkService(options);
    const { count = 1, backOff = BACK_OFF } = options;
    if (!(backOff.first <= backOff.most)) {
      throw new RangeError(`the back-off must be 0 < first <= most, not ${backOff.first} and ${backOff.most}`);
    }
    this.#core = internalsOf(core);
    this.#options = options;
    this.#connector = new Connector(core, options, (session, error) => this.#ends.get(session)?.(error));
    core.attach(this);
    for (let i = 0; i < count; i++) void this.#keepOne(backOff.first, backOff.most);
  }

  /** The open sessions. */
  get sessions(): ReadonlySet<Session> {
    return this.#connector.sessions;
  }

  /**
   * Stops connecting and ends the sessions. Sessions that are open after `grace` milliseconds (default 5000) are destroyed. Within
   * the grace a session used as a stream is left to its user.
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

  /** Connects, and waits until the session is over. */
  async #live(): Promise<{ error: Error | undefined; lived: number }> {
    const { target, connectTimeout: timeout = CONNECT_TIMEOUT } = this.#options;
    let session: Session;
    try {
      session = await this.#connector.connect(target, { timeout });
    } catch (error) {
      return { error: asError(error), lived: 0 };
    }
    // The session cannot be over yet: its Close packet comes in a later batch.
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
