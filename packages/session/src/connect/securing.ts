// Securing: the TLS handshake of one connect().

import { IocpError, type PortSocket } from '@overlapped/iocp-native';
import { Timer } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import type { Origin } from '../session/origin.js';
import { dismiss } from '../stats.js';
import type { TlsContext } from '../tls/context.js';
import { TlsHandshake } from '../tls/tls-handshake.js';
import { offAbort, onAbort } from './abort-signals.js';
import type { ConnectOptions } from './connecting.js';

export class Securing {
  /** Resolves when the handshake is done. Rejects when it has failed, and the socket has closed. */
  readonly done: Promise<void>;
  readonly #core: Core;
  readonly #handshake: TlsHandshake;
  readonly #options: ConnectOptions;
  readonly #over: (securing: Securing) => void;
  readonly #deadline = new Timer(() => this.cancel(this.#late()));
  readonly #aborted = () => this.cancel(this.#options.signal!.reason);
  /** Why it was cancelled; in an array, as a signal's reason may be any value. */
  #cancelled: [reason: unknown] | null = null;

  /**
   * @param socket a connected socket that the core has admitted
   * @param since when the connect began: its timeout includes the handshake
   * @param over is called once
   */
  constructor(
    core: Core,
    socket: PortSocket,
    context: TlsContext,
    host: string | undefined,
    options: ConnectOptions,
    since: number,
    over: (securing: Securing) => void,
  ) {
    this.#core = core;
    this.#options = options;
    this.#over = over;
    let resolve!: () => void;
    let reject!: (reason: unknown) => void;
    this.done = new Promise((...settle) => {
      [resolve, reject] = settle;
    });
    const onSecured = () => {
      this.#end();
      resolve();
    };
    const onFailed = (error: Error) => {
      this.#end();
      dismiss(core);
      reject(this.#cancelled === null ? error : this.#cancelled[0]);
    };
    this.#handshake = new TlsHandshake(core, socket, context, { onSecured, onFailed }, null, host);
    const { timeout, signal } = options;
    if (timeout !== undefined) core.timers.set(this.#deadline, Math.max(1, timeout - (core.timers.now - since)));
    if (signal !== undefined) onAbort(signal, this.#aborted);
    this.#handshake.start(null);
    if (signal?.aborted) this.cancel(signal.reason);
  }

  /** The facts that the session starts with. To be called when the session opens, and not before: until then bytes may arrive. */
  origin(): Origin {
    return this.#handshake.origin(null);
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= [reason];
    this.#handshake.close(this.#late());
  }

  #end(): void {
    this.#core.timers.clear(this.#deadline);
    if (this.#options.signal !== undefined) offAbort(this.#options.signal, this.#aborted);
    this.#over(this);
  }

  #late(): IocpError {
    const reason = `it took more than ${this.#options.timeout} ms`;
    return new IocpError('do the TLS handshake', reason, 'ETIMEDOUT', 'connect');
  }
}
