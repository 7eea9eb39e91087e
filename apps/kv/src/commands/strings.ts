// The commands that read and write values.

import type { Client } from '../client.js';
import { bodyOf } from '../resp/bulk.js';
import { MOST, parseInteger } from '../resp/integer.js';
import type { Request } from '../resp/request.js';
import {
  ALL_KEYS,
  type Command,
  invalidExpireTime,
  isStorable,
  NOT_AN_INTEGER,
  ONE_KEY,
  SYNTAX,
  wrongArity,
} from './command.js';

function get({ request, reply, store }: Client): void {
  const value = store.get(request.text(1));
  if (value === undefined) reply.null();
  else reply.encoded(value);
}

function mget(client: Client): void {
  const { request, reply, store } = client;
  reply.array(request.count - 1);
  for (let i = 1; i < request.count; i++) {
    if (reply.congested) {
      client.putOff(valuesFrom(client, i));
      return;
    }
    const value = store.get(request.text(i));
    if (value === undefined) reply.null();
    else reply.encoded(value);
  }
}

/** The values of the keys from argument `i` on, as they are now. */
function valuesFrom({ request, store }: Client, i: number): (Buffer | undefined)[] {
  return Array.from({ length: request.count - i }, (_, rest) => store.get(request.text(i + rest)));
}

function mset({ request, reply, store }: Client): void {
  if (request.count % 2 === 0) {
    reply.error(wrongArity('mset'));
    return;
  }
  for (let i = 1; i < request.count; i += 2) replace(store, request.text(i), request, i + 1);
  reply.ok();
}

function set(client: Client): void {
  const { request, reply, store } = client;
  const key = request.text(1);
  if (request.count > 3) {
    setWithOptions(client, key);
    return;
  }
  replace(store, key, request, 2);
  reply.ok();
}

/** Sets a value that then stays. */
function replace(store: Client['store'], key: string, { bytes, starts, ends }: Request, i: number): void {
  store.persist(key);
  store.set(key, bytes, starts[i]!, ends[i]!);
}

interface SetOptions {
  /** The argument that says when the key is due, or 0, and the milliseconds of its unit. */
  expire: number;
  unit: number;
  condition: 'NX' | 'XX' | undefined;
  get: boolean;
  keepTtl: boolean;
}

/** The options of a SET, or null when they make no sense. */
function setOptions(request: Request): SetOptions | null {
  const options: SetOptions = { expire: 0, unit: 0, condition: undefined, get: false, keepTtl: false };
  for (let i = 3; i < request.count; i++) {
    const word = request.text(i).toUpperCase();
    if ((word === 'NX' || word === 'XX') && (options.condition ?? word) === word) {
      options.condition = word;
    } else if (word === 'GET') {
      options.get = true;
    } else if (word === 'KEEPTTL' && options.expire === 0) {
      options.keepTtl = true;
    } else {
      const unit = word === 'EX' ? 1000 : word === 'PX' ? 1 : 0;
      // The same unit twice is fine, and the last time counts.
      const fits = unit !== 0 && (options.expire === 0 || options.unit === unit) && !options.keepTtl;
      if (!fits || ++i === request.count) return null;
      options.unit = unit;
      options.expire = i;
    }
  }
  return options;
}

function setWithOptions({ request, reply, store }: Client, key: string): void {
  const options = setOptions(request);
  if (options === null) {
    reply.error(SYNTAX);
    return;
  }
  const { expire, unit, condition, get, keepTtl } = options;
  const time = expire === 0 ? 0 : request.integer(expire);
  if (time === null) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const milliseconds = Number(time) * unit;
  if (expire !== 0 && (milliseconds <= 0 || !isStorable(milliseconds))) {
    reply.error(invalidExpireTime('set'));
    return;
  }
  const old = store.get(key);
  const refused = condition !== undefined && (condition === 'NX') === (old !== undefined);
  // The old value is written before the new one may take its place.
  if (get && old !== undefined) reply.encoded(old);
  else if (get || refused) reply.null();
  else reply.ok();
  if (refused) return;
  store.set(key, request.bytes, request.starts[2]!, request.ends[2]!);
  if (expire !== 0) store.expireIn(key, milliseconds);
  else if (!keepTtl) store.persist(key);
}

function incr({ request, reply, store }: Client): void {
  const key = request.text(1);
  const value = store.get(key);
  const number = value === undefined ? 0 : parseInteger(value, bodyOf(value), value.length - 2);
  if (number === null) {
    reply.error(NOT_AN_INTEGER);
  } else if (number === MOST) {
    reply.error('ERR increment or decrement would overflow');
  } else {
    const next = typeof number === 'number' && number < Number.MAX_SAFE_INTEGER ? number + 1 : BigInt(number) + 1n;
    const text = Buffer.from(String(next), 'latin1');
    store.set(key, text, 0, text.length);
    reply.integer(next);
  }
}

const WRITES = ['write', 'denyoom'];

export const strings: readonly Command[] = [
  {
    name: 'get',
    arity: 2,
    group: 'string',
    summary: 'Get the value of a key',
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    run: get,
  },
  {
    name: 'set',
    arity: -3,
    group: 'string',
    summary: 'Set the value of a key',
    flags: WRITES,
    keys: ONE_KEY,
    run: set,
  },
  {
    name: 'mget',
    arity: -2,
    group: 'string',
    summary: 'Get the values of keys',
    flags: ['readonly', 'fast'],
    keys: ALL_KEYS,
    run: mget,
  },
  {
    name: 'mset',
    arity: -3,
    group: 'string',
    summary: 'Set the values of keys',
    flags: WRITES,
    keys: [1, -1, 2],
    run: mset,
  },
  {
    name: 'incr',
    arity: 2,
    group: 'string',
    summary: 'Add one to the integer that is the value of a key',
    flags: [...WRITES, 'fast'],
    keys: ONE_KEY,
    run: incr,
  },
];
