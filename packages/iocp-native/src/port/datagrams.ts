// The common part of the backends' datagram sockets: the addresses of peers, and the sends in flight.
//
// A peer's address arrives as a sockaddr with each datagram. The same bytes mostly came before, so they are looked up in
// a small cache first: a datagram of a known peer costs no object and no text.

import assert from 'node:assert';
import { endpointText, ToldEndpoint } from '../contract/endpoint.js';
import { type Endpoint, MAX_DATAGRAM_SENDS } from '../contract/port.js';
import type { NativeBlock } from '../native/memory.js';
import { checkEndpoint, readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../native/sockaddr.js';
import { numericZones, type Zones } from '../native/zones.js';
import { SendsInFlight } from './sends-in-flight.js';

const WORDS = SOCKADDR_SIZE >> 2;
/** A sockaddr_in has two words of address; the others are zero. */
const WORDS_OF_IPV4 = 2;
const AF_INET = 2;

/** An endpoint, with the sockaddr that it was read from. */
class PeerAddress extends ToldEndpoint {
  readonly #words: readonly number[];

  constructor({ bytes, words }: NativeBlock, at: number, zones: Zones) {
    const { address, family, port } = readSockaddr(bytes, at, zones);
    super(address, family, port);
    this.#words = Array.from({ length: family === 4 ? WORDS_OF_IPV4 : WORDS }, (_, i) => words[(at >> 2) + i]! | 0);
  }

  matches(words: Uint32Array, first: number): boolean {
    const own = this.#words;
    for (let i = 0; i < own.length; i++) if ((words[first + i]! | 0) !== own[i]) return false;
    return true;
  }

  /** Writes the sockaddr and returns its length. */
  write(words: Uint32Array, first: number): number {
    const own = this.#words;
    for (let i = 0; i < own.length; i++) words[first + i] = own[i]!;
    if (own.length === WORDS) return SOCKADDR_SIZE;
    words[first + 2] = 0;
    words[first + 3] = 0;
    return 16;
  }
}

/** 2^12 addresses; the one used last stays in its place. */
const CACHE_BITS = 12;

export class AddressCache {
  readonly #addresses: (PeerAddress | undefined)[] = new Array(1 << CACHE_BITS).fill(undefined);
  readonly #zones: Zones;

  constructor(zones = numericZones) {
    this.#zones = zones;
  }

  /** The endpoint in a sockaddr that lies at `at`, a multiple of 4. */
  find(block: NativeBlock, at: number): Endpoint {
    const { words } = block;
    const first = at >> 2;
    const place = placeOf(words, first);
    const known = this.#addresses[place];
    if (known?.matches(words, first)) return known;
    const fresh = new PeerAddress(block, at, this.#zones);
    this.#addresses[place] = fresh;
    return fresh;
  }
}

function placeOf(words: Uint32Array, first: number): number {
  const count = (words[first]! & 0xffff) === AF_INET ? WORDS_OF_IPV4 : WORDS;
  let hash = 0;
  for (let i = 0; i < count; i++) {
    hash = Math.imul(hash ^ words[first + i]!, 0x85ebca6b);
    // A product's low bits know nothing of the high ones.
    hash ^= hash >>> 15;
  }
  return Math.imul(hash, 0x9e3779b1) >>> (32 - CACHE_BITS);
}

/**
 * Writes the sockaddr of where a datagram goes, for a socket of `family`, at `at`, a multiple of 4. Returns its length; 0
 * when such a socket can't reach it. `familyOf6` is the platform's AF_INET6.
 */
export function writeTarget(
  to: Endpoint,
  family: 4 | 6,
  block: NativeBlock,
  at: number,
  familyOf6: number,
  zones = numericZones,
): number {
  const target = inFamily(to, family);
  if (target === null) return 0;
  if (target instanceof PeerAddress) return target.write(block.words, at >> 2);
  return writeSockaddr(target, block.bytes, at, familyOf6, zones);
}

/** An endpoint as a socket of `family` names it; null when it can't. */
export function inFamily(to: Endpoint, family: 4 | 6): Endpoint | null {
  if (to.family === family) return to;
  return family === 4 ? null : { address: `::ffff:${to.address}`, family: 6, port: to.port };
}

/** The part of a socket that only datagram sockets have. */
export class DatagramState {
  readonly family: 4 | 6;
  readonly connected: boolean;
  readonly sends = new SendsInFlight();

  constructor(family: 4 | 6, connected: boolean) {
    this.family = family;
    this.connected = connected;
  }

  /** Whether a send may start, anything else being a bug. */
  check(to: Endpoint | null): void {
    assert((to === null) === this.connected, 'a connected socket sends to its peer, another to an address');
    if (to !== null && !(to instanceof ToldEndpoint)) checkEndpoint(to);
    assert(this.sends.size < MAX_DATAGRAM_SENDS, 'too many sends in flight on a datagram socket');
  }
}

export function sendAction(to: Endpoint | null): string {
  return to === null ? 'send' : `send to ${endpointText(to)}`;
}
