// AcceptFilter: which connections a listener accepts, by its limits for all threads. Limits for each address, and those that
// need the PROXY header, are enforced in the thread of the sessions (admission.ts).

import type { BlockList } from 'node:net';
import type { TimerQueue } from '@overlapped/net-core';
import { isListed } from '../endpoints.js';
import { Stat } from '../stats.js';

/** A BlockList of node:net, or addresses and ranges: `['10.0.0.0/8', '::1']`. */
export type AddressList = BlockList | readonly string[];

/** Which proxies are trusted (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). */
export interface ProxyOptions {
  /**
   * The proxies' addresses. A proxy must send a PROXY header, version 1 or 2. Any other connection is reset: the protocol
   * forbids guessing whether there is a header. Direct clients need a listener of their own.
   */
  readonly trusted: AddressList;
  /** Milliseconds in which the header must arrive. Above 0; default 5000. */
  readonly timeout?: number;
}

/** Limits of accepted connections. A refused connection is reset, and counted by reason: `refusedFull`, `refusedRate` ... */
export interface AcceptLimits {
  /** Limit of this listener's sessions, in all threads together. At least 1. Default: the core's limit. */
  readonly maxSessions?: number;
  /** Limit of the sessions of one remote address, in each thread; of shared sessions, in all. At least 1. Default: no limit. */
  readonly maxSessionsPerAddress?: number;
  /** Rate limit of connections (a token bucket). A connection that is refused for another reason uses no token. Default: none. */
  readonly rate?: {
    /** Connections in a second, on average. Above 0; fractions are allowed. */
    readonly perSecond: number;
    /** Connections at once, after a pause. At least 1. Default `perSecond`, but at least 1. */
    readonly burst?: number;
  };
  /**
   * The treatment of connections beyond `maxSessions` or `rate`. `refuse` resets them. `wait` leaves them in the kernel's backlog
   * until they fit the limit. (On Linux the port itself holds up to 1,024 accepted connections; on `node:net` it holds all.)
   * Default `refuse`.
   */
  readonly whenFull?: 'refuse' | 'wait';
  /** Accepts only these addresses. */
  readonly allow?: AddressList;
  /** Refuses these addresses, even if `allow` has them. */
  readonly deny?: AddressList;
  /** Clients come through proxies, which send a PROXY header. `allow`, `deny` and the limit per address then apply to the clients. */
  readonly proxy?: ProxyOptions;
}

/** The facts about the sessions that the filter uses. */
export interface Occupancy {
  /** Sessions of the listener, in all threads. */
  readonly count: number;
}

export class AcceptFilter {
  /** Whether refuses() needs the address of each connection. */
  readonly needsAddress: boolean;
  /** Whether connections beyond the limits stay in the kernel's backlog. */
  readonly waits: boolean;
  readonly #limits: AcceptLimits;
  readonly #max: number;
  readonly #bucket: TokenBucket | null;

  /** @param tokens the state of the rate limit, of createTokens(), if several threads share it; one of them at a time asks */
  constructor(limits: AcceptLimits, clock: Pick<TimerQueue, 'now'>, tokens: SharedArrayBuffer | null = null) {
    const { maxSessions = Number.POSITIVE_INFINITY, rate, allow, deny, proxy } = limits;
    this.#limits = limits;
    this.#max = maxSessions;
    this.#bucket = rate ? new TokenBucket(clock, rate, tokens ?? createTokens(rate, clock.now)) : null;
    this.needsAddress = (allow ?? deny) !== undefined && !proxy;
    this.waits = limits.whenFull === 'wait' && (this.#bucket !== null || maxSessions < Number.POSITIVE_INFINITY);
  }

  /** With `waits`: how many accepts may be in flight. */
  available(occupancy: Occupancy): number {
    const free = this.#max < Number.POSITIVE_INFINITY ? this.#max - occupancy.count : this.#max;
    return Math.min(free, this.#bucket?.tokens ?? free);
  }

  /** -1 if the connection is accepted; else the index of the counter for the reason. `address` is undefined if it is gone already. */
  refuses(address: string | undefined, occupancy: Occupancy): number {
    // Before the token bucket: a refused client uses no token.
    if (this.needsAddress && (address === undefined || isRefused(this.#limits, address))) return Stat.refusedDenied;
    if (this.#max < Number.POSITIVE_INFINITY && occupancy.count >= this.#max) return Stat.refusedFull;
    if (this.#bucket !== null && !this.#bucket.take()) return Stat.refusedRate;
    return -1;
  }
}

/** Whether the lists refuse an address. */
export function isRefused({ allow, deny }: AcceptLimits, address: string): boolean {
  return (deny !== undefined && isListed(deny, address)) || (allow !== undefined && !isListed(allow, address));
}

type Rate = NonNullable<AcceptLimits['rate']>;

/** The state of a rate limit, in memory that threads can share. */
export function createTokens(rate: Rate, now: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
  new Float64Array(memory).set([burstOf(rate), now]);
  return memory;
}

function burstOf({ perSecond, burst = Math.max(1, perSecond) }: Rate): number {
  return burst;
}

/** Token bucket: tokens are added at a steady rate, up to `burst`. Each connection takes one. */
class TokenBucket {
  readonly #perMillisecond: number;
  readonly #most: number;
  readonly #clock: Pick<TimerQueue, 'now'>;
  /** The tokens, and when that was. */
  readonly #state: Float64Array;

  constructor(clock: Pick<TimerQueue, 'now'>, rate: Rate, state: SharedArrayBuffer) {
    this.#perMillisecond = rate.perSecond / 1000;
    this.#most = burstOf(rate);
    this.#clock = clock;
    this.#state = new Float64Array(state);
  }

  /** Number of whole tokens. */
  get tokens(): number {
    const { now } = this.#clock;
    const state = this.#state;
    state[0] = Math.min(this.#most, state[0]! + (now - state[1]!) * this.#perMillisecond);
    state[1] = now;
    return Math.floor(state[0]);
  }

  take(): boolean {
    if (this.tokens < 1) return false;
    this.#state[0]!--;
    return true;
  }
}
