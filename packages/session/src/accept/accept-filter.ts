// What a listener lets in: the limits, and the gate that holds them. What concerns one address, or needs the PROXY header,
// is the business of the sessions' own thread (admission.ts).

import type { BlockList } from 'node:net';
import { Stat, type TimerQueue } from '@overlapped/net-core';
import { isListed } from '../endpoints.js';

/** A BlockList of node:net, or addresses and ranges: `['10.0.0.0/8', '::1']`. */
export type AddressList = BlockList | readonly string[];

/** Whose word about clients is taken (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). */
export interface ProxyOptions {
  /**
   * Where proxies connect from. They must send a PROXY header, version 1 or 2; any other connection is reset, as the
   * protocol forbids to guess whether there is a header. Serve direct clients by a listener of their own.
   */
  readonly trusted: AddressList;
  /** Milliseconds in which the header must come. Default 5000. */
  readonly timeout?: number;
}

/** What is refused is reset, and counted in the core's statistics, by reason: `refusedFull`, `refusedRate` ... */
export interface AcceptLimits {
  /** The most sessions of this listener at a time, in all threads. Default: no limit but the core's. */
  readonly maxSessions?: number;
  /** The most sessions of one remote address at a time, in each thread. Default: no limit. */
  readonly maxSessionsPerAddress?: number;
  /** How many connections are taken, by a token bucket. Default: no limit. */
  readonly rate?: {
    /** Connections in a second, on average. Above 0, and no whole number need be. */
    readonly perSecond: number;
    /** Connections at once, after a pause. At least 1. Default `perSecond`, or 1 if that is lower. */
    readonly burst?: number;
  };
  /**
   * What becomes of connections beyond `maxSessions` or `rate`. Default `refuse`. `wait` leaves them to the kernel, in the
   * backlog, and accepts when there is room. (On Linux the port itself holds up to 1,024 of them accepted, and where
   * `node:net` serves it holds all.)
   */
  readonly whenFull?: 'refuse' | 'wait';
  /** Only these addresses. */
  readonly allow?: AddressList;
  /** Not these, even if they are allowed. */
  readonly deny?: AddressList;
  /** Clients come through proxies, which tell their addresses. `allow`, `deny` and the limit per address are then theirs. */
  readonly proxy?: ProxyOptions;
}

/** What the gate has to know of where connections go. */
export interface Occupancy {
  /** Sessions of the listener, in all threads. */
  readonly count: number;
}

/** @internal */
export class Gate {
  /** It must be told the address of each connection. */
  readonly screens: boolean;
  /** Connections beyond the limits stay with the kernel. */
  readonly waits: boolean;
  readonly #limits: AcceptLimits;
  readonly #max: number;
  readonly #bucket: TokenBucket | null;

  /** Throws a RangeError for a limit that makes no sense. */
  constructor(limits: AcceptLimits, clock: Pick<TimerQueue, 'now'>) {
    const { maxSessions = Number.POSITIVE_INFINITY, rate, allow, deny, proxy } = limits;
    if (!(maxSessions >= 1)) throw new RangeError(`maxSessions must be at least 1, not ${maxSessions}`);
    this.#limits = limits;
    this.#max = maxSessions;
    this.#bucket = rate ? new TokenBucket(clock, rate.perSecond, rate.burst ?? Math.max(1, rate.perSecond)) : null;
    this.screens = (allow ?? deny) !== undefined && !proxy;
    this.waits = limits.whenFull === 'wait' && (this.#bucket !== null || maxSessions < Number.POSITIVE_INFINITY);
  }

  /** How many accepts may wait, for a gate that leaves the others to the kernel. */
  vacancies(occupancy: Occupancy): number {
    const free = this.#max < Number.POSITIVE_INFINITY ? this.#max - occupancy.count : this.#max;
    return Math.min(free, this.#bucket?.tokens ?? free);
  }

  /** Lets a connection in: -1. Or says why not: which statistic counts that. `address` is undefined if it is gone already. */
  refuses(address: string | undefined, occupancy: Occupancy): number {
    // First, so that those who are not served at all do not use up what is for others.
    if (this.screens && (address === undefined || isRefused(this.#limits, address))) return Stat.refusedDenied;
    if (this.#max < Number.POSITIVE_INFINITY && occupancy.count >= this.#max) return Stat.refusedFull;
    if (this.#bucket !== null && !this.#bucket.take()) return Stat.refusedRate;
    return -1;
  }
}

/** Whether the lists keep an address out. */
export function isRefused({ allow, deny }: AcceptLimits, address: string): boolean {
  return (deny !== undefined && isListed(deny, address)) || (allow !== undefined && !isListed(allow, address));
}

/** Tokens come at a steady rate, up to a number; each connection takes one. */
class TokenBucket {
  readonly #perMillisecond: number;
  readonly #most: number;
  readonly #clock: Pick<TimerQueue, 'now'>;
  #tokens: number;
  #at: number;

  constructor(clock: Pick<TimerQueue, 'now'>, perSecond: number, burst: number) {
    if (!(perSecond > 0 && burst >= 1)) {
      throw new RangeError(`the rate must be above 0, and the burst at least 1, not ${perSecond} and ${burst}`);
    }
    this.#perMillisecond = perSecond / 1000;
    this.#most = burst;
    this.#tokens = burst;
    this.#clock = clock;
    this.#at = clock.now;
  }

  /** Whole ones. */
  get tokens(): number {
    const { now } = this.#clock;
    this.#tokens = Math.min(this.#most, this.#tokens + (now - this.#at) * this.#perMillisecond);
    this.#at = now;
    return Math.floor(this.#tokens);
  }

  take(): boolean {
    if (this.tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
