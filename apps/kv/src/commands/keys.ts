// The commands about keys, whatever their values.

import type { Client } from '../client.js';
import { LEAST } from '../resp/integer.js';
import {
  ALL_KEYS,
  type Command,
  invalidExpireTime,
  isStorable,
  NO_KEYS,
  NOT_AN_INTEGER,
  ONE_KEY,
  SYNTAX,
} from './command.js';

function del({ request, reply, store }: Client): void {
  let deleted = 0;
  for (let i = 1; i < request.count; i++) if (store.delete(request.text(i))) deleted++;
  reply.integer(deleted);
}

function exists({ request, reply, store }: Client): void {
  let found = 0;
  for (let i = 1; i < request.count; i++) if (store.get(request.text(i)) !== undefined) found++;
  reply.integer(found);
}

function expire({ request, reply, store }: Client): void {
  const seconds = request.integer(2);
  if (seconds === null) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const milliseconds = Number(seconds) * 1000;
  // As a number, the first of those that are too far below zero is rounded to one that is not.
  if (!isStorable(milliseconds) || (typeof seconds === 'bigint' && seconds < LEAST / 1000n)) {
    reply.error(invalidExpireTime('expire'));
    return;
  }
  const key = request.text(1);
  const found = store.get(key) !== undefined;
  if (found && milliseconds > 0) store.expireIn(key, milliseconds);
  else if (found) store.delete(key);
  reply.integer(found ? 1 : 0);
}

function ttl({ request, reply, store }: Client): void {
  const key = request.text(1);
  if (store.get(key) === undefined) {
    reply.integer(-2);
    return;
  }
  const left = store.timeLeft(key);
  reply.integer(left === undefined ? -1 : Math.floor((left + 500) / 1000));
}

function dbsize({ reply, store }: Client): void {
  reply.integer(store.size);
}

function flushall({ request, reply, store }: Client): void {
  if (request.count > 2 || (request.count === 2 && !request.is(1, 'SYNC') && !request.is(1, 'ASYNC'))) {
    reply.error(SYNTAX);
    return;
  }
  store.clear();
  reply.ok();
}

export const keys: readonly Command[] = [
  { name: 'del', arity: -2, group: 'generic', summary: 'Delete keys', flags: ['write'], keys: ALL_KEYS, run: del },
  {
    name: 'exists',
    arity: -2,
    group: 'generic',
    summary: 'Count which of these keys are there',
    flags: ['readonly', 'fast'],
    keys: ALL_KEYS,
    run: exists,
  },
  {
    name: 'expire',
    arity: 3,
    group: 'generic',
    summary: 'Have a key go in so many seconds',
    flags: ['write', 'fast'],
    keys: ONE_KEY,
    run: expire,
  },
  {
    name: 'ttl',
    arity: 2,
    group: 'generic',
    summary: 'Get the seconds that a key has left; -1: it stays, -2: it is not there',
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    run: ttl,
  },
  {
    name: 'dbsize',
    arity: 1,
    group: 'server',
    summary: 'Count the keys',
    flags: ['readonly', 'fast'],
    keys: NO_KEYS,
    run: dbsize,
  },
  {
    name: 'flushall',
    arity: -1,
    group: 'server',
    summary: 'Delete all keys',
    flags: ['write'],
    keys: NO_KEYS,
    run: flushall,
  },
];
