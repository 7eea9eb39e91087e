// One connect(): attempts at the addresses of a name, a little apart ("Happy Eyeballs", RFC 8305). The first to connect
// wins; the others are closed. It is over when the last of its sockets has closed.
//
//   resolve -> attempt 1 --- 250 ms, or its failure ---> attempt 2 -> ...

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
import { type CompletionOwner, type IocpCore, onCompletion, Timer } from '@overlapped/net-core';
import { endpointOf } from '../endpoints.js';
import { asError } from '../outcomes.js';
import type { Session } from '../session/session.js';
import { type SessionEvent, takeEvent } from '../session/session-event.js';
import { offAbort, onAbort } from './abort-signals.js';

/** Milliseconds until the next address is tried, too: the "Connection Attempt Delay" of RFC 8305, section 5. */
const ATTEMPT_DELAY = 250;

type Remote = Endpoint | PipeEndpoint;

/** What ends a connect early, and what its session is. */
export interface ConnectOptions<Kind extends Session = Session> {
  /** Milliseconds for all of it, the name's resolution included. Default: as long as the system tries. */
  readonly timeout?: number;
  /** Gives up; connect() then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Makes the session of this connection, in the place of what the connector makes: for a class whose constructor takes
   * arguments. It must be a new one. What it throws, connect() rejects with.
   */
  readonly session?: () => Kind;
}

export class Connecting {
  /** Resolves with a connected socket that the core has admitted; rejects when nothing is left of the attempts. */
  readonly socket: Promise<PortSocket>;
  readonly #core: IocpCore;
  /** What is connected to, in messages. */
  readonly #target: string;
  readonly #socketOptions: SocketOptions;
  readonly #options: ConnectOptions;
  readonly #over: (connecting: Connecting) => void;
  readonly #attempts = new Set<Attempt>();
  readonly #next = new Timer(() => this.#attempt());
  readonly #deadline = new Timer(() => this.#expire());
  readonly #aborted = () => this.giveUp(this.#options.signal!.reason);
  readonly #failures: Error[] = [];
  /** Addresses that have not been tried; null until the name is resolved. */
  #remotes: Remote[] | null = null;
  #won = false;
  /** Why it was given up, in an array, as a signal's reason may be anything. */
  #givenUp: [reason: unknown] | null = null;
  #resolve!: (socket: PortSocket) => void;
  #reject!: (reason: unknown) => void;

  /**
   * Throws a RangeError for a timeout that is not above 0.
   * @param over is called once: no socket and no timer of this is left, but for the one that has won.
   */
  constructor(
    core: IocpCore,
    target: string,
    socketOptions: SocketOptions,
    options: ConnectOptions,
    over: (connecting: Connecting) => void,
  ) {
    const { timeout = 1 } = options;
    if (!(timeout > 0)) throw new RangeError(`the timeout must be above 0, not ${timeout}`);
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

  /** @param remotes what the name resolves to, in the order of preference. */
  start(remotes: Promise<Remote[]>): void {
    const { timeout, signal } = this.#options;
    if (signal?.aborted) {
      this.giveUp(signal.reason);
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

  giveUp(reason: unknown): void {
    if (this.#won || this.#givenUp !== null) return;
    this.#givenUp = [reason];
    for (const attempt of this.#attempts) attempt.close();
    this.#endIfOver();
  }

  #expire(): void {
    const reason = `it took more than ${this.#options.timeout} ms`;
    this.giveUp(new IocpError(`connect to ${this.#target}`, reason, 'ETIMEDOUT', 'connect'));
  }

  #resolved(remotes: Remote[]): void {
    if (this.#givenUp !== null) return;
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

  /** For an attempt that has connected. False when it is to close. */
  connected(attempt: Attempt, socket: PortSocket): boolean {
    if (this.#won || this.#givenUp !== null) return false;
    // Its place was reserved until now.
    assert(this.#core.places.admit());
    this.#won = true;
    this.#attempts.delete(attempt);
    for (const loser of this.#attempts) loser.close();
    this.#resolve(socket);
    this.#endIfOver();
    return true;
  }

  /** For an attempt whose socket has closed. */
  ended(attempt: Attempt, error: Error | null): void {
    this.#attempts.delete(attempt);
    if (error !== null) this.#failures.push(error);
    if (!this.#won && this.#givenUp === null && this.#remotes!.length > 0) this.#attempt();
    else this.#endIfOver();
  }

  #endIfOver(): void {
    const { timers } = this.#core;
    const settled = this.#won || this.#givenUp !== null;
    if (settled) timers.clear(this.#next);
    if (this.#attempts.size > 0 || (!settled && this.#remotes!.length > 0)) return;
    timers.clear(this.#deadline);
    if (this.#options.signal !== undefined) offAbort(this.#options.signal, this.#aborted);
    if (this.#givenUp !== null) this.#reject(this.#givenUp[0]);
    else if (!this.#won) this.#reject(this.#failure());
    this.#over(this);
  }

  /** Of several, the first address is what the system prefers, so its failure gives the code. */
  #failure(): Error {
    const [first, ...others] = this.#failures;
    if (others.length === 0) return first!;
    const { code, syscall } = isIocpError(first) ? first : { code: 'ECONNREFUSED', syscall: 'connect' };
    const reason = `none of ${this.#failures.length} addresses took the connection`;
    const cause = new AggregateError(this.#failures);
    return new IocpError(`connect to ${this.#target}`, reason, code, syscall, 0, { cause });
  }
}

/** One connect in flight. A failed one is over when its socket has closed. */
class Attempt implements CompletionOwner {
  readonly #core: IocpCore;
  readonly #connecting: Connecting;
  readonly #remote: Remote;
  /** What is connected to, in messages. */
  readonly #target: string;
  readonly #socket: PortSocket | null = null;
  #error: Error | null = null;

  constructor(core: IocpCore, remote: Remote, target: string, options: SocketOptions, connecting: Connecting) {
    this.#core = core;
    this.#connecting = connecting;
    this.#remote = remote;
    this.#target = target;
    let failure: Error = new IocpError('connect', 'the core has maxSessions sessions', 'ENOBUFS', 'connect');
    if (core.places.reserve()) {
      const event = takeEvent(core, this, Operation.Connect);
      try {
        this.#socket = core.port.connect(event, remote, this, options);
        return;
      } catch (error) {
        // Nothing was started, so no packet comes.
        core.events.release(event);
        core.places.unreserve();
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
    this.#core.places.unreserve();
    this.#error = packet.error ?? this.#itself();
    if (this.#error === null && this.#connecting.connected(this, this.#socket!)) return;
    this.close();
  }

  /**
   * The error of a connection whose two ends are one socket. The kernel may give a connect the very local port that it goes
   * to, when nothing listens there, and TCP lets it connect.
   */
  #itself(): IocpError | null {
    if (!('port' in this.#remote)) return null;
    const local = endpointOf(this.#socket, 'localEndpoint');
    if (local?.port !== this.#remote.port) return null;
    if (endpointOf(this.#socket, 'remoteEndpoint')?.address !== local.address) return null;
    return new IocpError(`connect to ${this.#target}`, 'nothing listens there', 'ECONNREFUSED', 'connect');
  }
}

/** The order of preference, but with the families in turns (RFC 8305, section 4). */
export function interleave(remotes: readonly Remote[]): Remote[] {
  const family = (remote: Remote | undefined) => (remote && 'family' in remote ? remote.family : 0);
  const first = remotes.filter((remote) => family(remote) === family(remotes[0]));
  const others = remotes.filter((remote) => family(remote) !== family(remotes[0]));
  return first.flatMap((remote, i) => [remote, ...others.slice(i, i + 1)]).concat(others.slice(first.length));
}
