// The commands about the connection.

import type { Client } from '../client.js';
import { encodeBulk } from '../resp/bulk.js';
import type { Protocol } from '../resp/reply.js';
import { type Command, NO_KEYS, NOT_AN_INTEGER, REDIS_VERSION, unknownSubcommand, wrongArity } from './command.js';

function ping(client: Client): void {
  const { request, reply } = client;
  if (request.count === 1) reply.simple('PONG');
  else if (request.count === 2) echo(client);
  else reply.error(wrongArity('ping'));
}

function echo({ request, reply }: Client): void {
  reply.encoded(encodeBulk(request.bytes, request.starts[1]!, request.ends[1]!));
}

function select({ request, reply }: Client): void {
  const index = request.integer(1);
  if (index === null) reply.error(NOT_AN_INTEGER);
  else if (index !== 0) reply.error('ERR DB index is out of range');
  else reply.ok();
}

function quit(client: Client): void {
  client.reply.ok();
  client.closing = true;
}

function hello(client: Client): void {
  const { request, reply } = client;
  const version = request.count > 1 ? request.integer(1) : client.protocol;
  if (version === null) {
    reply.error('ERR Protocol version is not an integer or out of range');
    return;
  }
  if (version !== 2 && version !== 3) {
    reply.error('NOPROTO unsupported protocol version');
    return;
  }
  for (let i = 2; i < request.count; i += 2) {
    if (!request.is(i, 'SETNAME') || i + 1 === request.count) {
      reply.error(`ERR Syntax error in HELLO option '${request.text(i)}'`);
      return;
    }
    if (!setName(client, request.text(i + 1))) return;
  }
  greet(client, version);
}

/** Turns to a version of the protocol, and introduces itself in it. */
function greet(client: Client, version: Protocol): void {
  const { reply } = client;
  client.protocol = version;
  reply.protocol = version;
  reply.map(7);
  reply.bulk('server');
  reply.bulk('redis');
  reply.bulk('version');
  reply.bulk(REDIS_VERSION);
  reply.bulk('proto');
  reply.integer(version);
  reply.bulk('id');
  reply.integer(client.id);
  reply.bulk('mode');
  reply.bulk('standalone');
  reply.bulk('role');
  reply.bulk('master');
  reply.bulk('modules');
  reply.array(0);
}

/** False when the name is no good, and the client has been told. */
function setName(client: Client, name: string): boolean {
  if (/[^!-~]/.test(name)) {
    client.reply.error('ERR Client names cannot contain spaces, newlines or special characters.');
    return false;
  }
  client.name = name;
  return true;
}

/** The subcommands of CLIENT, with the arguments that each takes. */
const SUBCOMMANDS: Readonly<Record<string, readonly [count: number, run: (client: Client) => void]>> = {
  setname: [
    3,
    (client) => {
      if (setName(client, client.request.text(2))) client.reply.ok();
    },
  ],
  // The name of a client's library is of no use here.
  setinfo: [4, ({ reply }) => reply.ok()],
  getname: [
    2,
    ({ name, reply }) => {
      if (name === '') reply.null();
      else reply.bulk(name);
    },
  ],
  id: [2, ({ id, reply }) => reply.integer(id)],
};

function client(client: Client): void {
  const { request, reply } = client;
  const given = request.text(1);
  const name = given.toLowerCase();
  const [count, run] = (Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined) ?? [0];
  if (run === undefined) reply.error(unknownSubcommand(given, 'CLIENT'));
  else if (request.count !== count) reply.error(wrongArity(`client|${name}`));
  else run(client);
}

const group = 'connection';
const flags = ['loading', 'stale', 'fast'];
const keys = NO_KEYS;

export const connection: readonly Command[] = [
  { name: 'ping', arity: -1, group, summary: 'Get an answer', flags: ['fast'], keys, run: ping },
  { name: 'echo', arity: 2, group, summary: 'Get this back', flags, keys, run: echo },
  { name: 'select', arity: 2, group, summary: 'Choose a database; there is 0 only', flags, keys, run: select },
  { name: 'quit', arity: -1, group, summary: 'Close the connection', flags, keys, run: quit },
  { name: 'hello', arity: -1, group, summary: 'Choose the version of the protocol', flags, keys, run: hello },
  { name: 'client', arity: -2, group, summary: 'Name this connection, or ask about it', flags, keys, run: client },
];
