// Connecting: one connect(). It tries the addresses of a name, 250 ms apart ("Happy Eyeballs", RFC 8305). The first attempt that
// connects wins, and the others are closed. Connecting is over when the last of its sockets has closed.
//
//   resolve -> attempt 1 --- after 250 ms, or its failure ---> attempt 2 -> ...

import assert from 'node:assert';
import {
  type CompletionPacket,
  type Endpoint,
  IocpError,
  isIocpError,
  Operation,
  type PipeEndpoint,
  type PortSocket,
  type SocketOptions,
} from '@overlapped/iocp-native';
import { Timer } from '@overlapped/net-core';
import { type CompletionOwner, type Core, onCompletion } from '@overlapped/net-core/internal';
import { endpointOf } from '../endpoints.js';
import { asError } from '../outcomes.js';
import type { Session } from '../session/session.js';
import { type SessionEvent, takeEvent } from '../session/session-event.js';
import { admit } from '../stats.js';
import { offAbort, onAbort } from './abort-signals.js';

/** Milliseconds until the next address is tried as well: the "Connection Attempt Delay" of RFC 8305, section 5. */
const ATTEMPT_DELAY = 250;

type Remote = Endpoint | PipeEndpoint;

/** Limits of one connect, and its session. */
export interface ConnectOptions<Kind extends Session = Session> {
  /** Timeout in milliseconds, the name's resolution included. Above 0. Default: as long as the system tries. */
  readonly timeout?: number;
  /** Cancels the connect: connect() rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Makes the session of this connection, instead of the connector's `session`: for a class whose constructor takes arguments.
   * It must return a new session. connect() rejects with the error that it throws.
   */
  readonly session?: () => Kind;
}

export class Connecting {
  /** Resolves with a connected socket that the core has admitted. Rejects when all attempts have failed and are closed. */
  readonly socket: Promise<PortSocket>;
  readonly #core: Core;
  /** The target, for messages. */
  readonly #target: string;
  readonly #socketOptions: SocketOptions;
  readonly #options: ConnectOptions;
  readonly #over: (connecting: Connecting) => void;
  readonly #attempts = new Set<Attempt>();
  readonly #next = new Timer(() => this.#attempt());
  readonly #deadline = new Timer(() => this.#expire());
  readonly #aborted = () => this.cancel(this.#options.signal!.reason);
  readonly #failures: Error[] = [];
  /** Addresses not tried yet; null until the name is resolved. */
  #remotes: Remote[] | null = null;
  #won = false;
  /** Why it was cancelled; in an array, as a signal's reason may be any value. */
  #cancelled: [reason: unknown] | null = null;
  #resolve!: (socket: PortSocket) => void;
  #reject!: (reason: unknown) => void;

  /** @param over is called once, when no timer and no socket of this is left except the one that has won */
  constructor(
    core: Core,
    target: string,
    socketOptions: SocketOptions,
    options: ConnectOptions,
    over: (connecting: Connecting) => void,
  ) {
    this.#core = core;
    this.#target = target;
    this.#socketOptions = socketOptions;
    this.#options = options;
    this.#over = over;
    this.socket = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** @param remotes the addresses of the name, the preferred first */
  start(remotes: Promise<Remote[]>): void {
    const { timeout, signal } = this.#options;
    if (signal?.aborted) {
      this.cancel(signal.reason);
      return;
    }
    if (signal !== undefined) onAbort(signal, this.#aborted);
    if (timeout !== undefined) this.#core.timers.set(this.#deadline, timeout);
    remotes.then(
      (resolved) => this.#resolved(interleave(resolved)),
      (error) => {
        this.#failures.push(error);
        this.#resolved([]);
      },
    );
  }

  cancel(reason: unknown): void {
    if (this.#won || this.#cancelled !== null) return;
    this.#cancelled = [reason];
    for (const attempt of this.#attempts) attempt.close();
    this.#endIfOver();
  }

  #expire(): void {
    const reason = `it took more than ${this.#options.timeout} ms`;
    this.cancel(new IocpError(`connect to ${this.#target}`, reason, 'ETIMEDOUT', 'connect'));
  }

  #resolved(remotes: Remote[]): void {
    if (this.#cancelled !== null) return;
    this.#remotes = remotes;
    if (remotes.length > 0) this.#attempt();
    else this.#endIfOver();
  }

  #attempt(): void {
    const { timers } = this.#core;
    const remote = this.#remotes!.shift()!;
    this.#attempts.add(new Attempt(this.#core, remote, this.#target, this.#socketOptions, this));
    if (this.#remotes!.length > 0) timers.set(this.#next, ATTEMPT_DELAY);
    else timers.clear(this.#next);
  }

  /** Called by an attempt that has connected. False if the attempt must close its socket. */
  connected(attempt: Attempt, socket: PortSocket): boolean {
    if (this.#won || this.#cancelled !== null) return false;
    // The attempt has just given back its reservation, so this cannot fail.
    assert(admit(this.#core));
    this.#won = true;
    this.#attempts.delete(attempt);
    for (const loser of this.#attempts) loser.close();
    this.#resolve(socket);
    this.#endIfOver();
    return true;
  }

  /** Called by an attempt whose socket has closed. */
  ended(attempt: Attempt, error: Error | null): void {
    this.#attempts.delete(attempt);
    if (error !== null) this.#failures.push(error);
    if (!this.#won && this.#cancelled === null && this.#remotes!.length > 0) this.#attempt();
    else this.#endIfOver();
  }

  #endIfOver(): void {
    const { timers } = this.#core;
    const settled = this.#won || this.#cancelled !== null;
    if (settled) timers.clear(this.#next);
    if (this.#attempts.size > 0 || (!settled && this.#remotes!.length > 0)) return;
    timers.clear(this.#deadline);
    if (this.#options.signal !== undefined) offAbort(this.#options.signal, this.#aborted);
    if (this.#cancelled !== null) this.#reject(this.#cancelled[0]);
    else if (!this.#won) this.#reject(this.#failure());
    this.#over(this);
  }

  /** The error of connect(). With several addresses it has the code of the first one, which the system prefers. */
  #failure(): Error {
    const [first, ...others] = this.#failures;
    if (others.length === 0) return first!;
    const { code, syscall } = isIocpError(first) ? first : { code: 'ECONNREFUSED', syscall: 'connect' };
    const reason = `none of ${this.#failures.length} addresses took the connection`;
    const cause = new AggregateError(this.#failures);
    return new IocpError(`connect to ${this.#target}`, reason, code, syscall, 0, { cause });
  }
}

/** One connect operation. A failed one is over when its socket has closed. */
class Attempt implements CompletionOwner {
  readonly #core: Core;
  readonly #connecting: Connecting;
  readonly #remote: Remote;
  /** The target, for messages. */
  readonly #target: string;
  readonly #socket: PortSocket | null = null;
  #error: Error | null = null;

  constructor(core: Core, remote: Remote, target: string, options: SocketOptions, connecting: Connecting) {
    this.#core = core;
    this.#connecting = connecting;
    this.#remote = remote;
    this.#target = target;
    let failure: Error = new IocpError('connect', 'the core has maxSessions sessions', 'ENOBUFS', 'connect');
    if (core.quota.reserve()) {
      const event = takeEvent(core, this, Operation.Connect);
      try {
        this.#socket = core.port.connect(event, remote, this, options);
        return;
      } catch (error) {
        // Nothing was started, so no packet will come.
        core.events.release(event);
        core.quota.unreserve();
        failure = asError(error);
      }
    }
    queueMicrotask(() => connecting.ended(this, failure));
  }

  close(): void {
    if (this.#socket !== null) this.#core.port.close(this.#socket, true);
  }

  [onCompletion](packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) {
      this.#connecting.ended(this, this.#error);
      return;
    }
    this.#core.events.release(packet.event as SessionEvent);
    this.#core.quota.unreserve();
    this.#error = packet.error ?? this.#selfConnected();
    if (this.#error === null && this.#connecting.connected(this, this.#socket!)) return;
    this.close();
  }

  /**
   * The error of a connection whose two ends are one socket. If nothing listens on a local port, the kernel may choose that port as
   * the local end of a connect to it, and TCP's simultaneous open connects the socket to itself.
   */
  #selfConnected(): IocpError | null {
    if (!('port' in this.#remote)) return null;
    const local = endpointOf(this.#socket, 'localEndpoint');
    if (local?.port !== this.#remote.port) return null;
    if (endpointOf(this.#socket, 'remoteEndpoint')?.address !== local.address) return null;
    return new IocpError(`connect to ${this.#target}`, 'nothing listens there', 'ECONNREFUSED', 'connect');
  }
}

/** Addresses in the order of preference, but with alternating families (RFC 8305, section 4). */
export function interleave(remotes: readonly Remote[]): Remote[] {
  const family = (remote: Remote | undefined) => (remote && 'family' in remote ? remote.family : 0);
  const first = remotes.filter((remote) => family(remote) === family(remotes[0]));
  const others = remotes.filter((remote) => family(remote) !== family(remotes[0]));
  return first.flatMap((remote, i) => [remote, ...others.slice(i, i + 1)]).concat(others.slice(first.length));
}
