// The commands about the server itself.

import type { Client } from '../client.js';
import type { ReplyWriter } from '../resp/reply.js';
import { type Command, NO_KEYS, REDIS_VERSION, unknownSubcommand, wrongArity } from './command.js';
import { connection } from './connection.js';
import { keys } from './keys.js';
import { strings } from './strings.js';

/** The sections of INFO, in their order. */
const SECTIONS: Readonly<Record<string, (client: Client) => Readonly<Record<string, string | number>>>> = {
  Server: ({ kv }) => ({
    redis_version: REDIS_VERSION,
    redis_mode: 'standalone',
    process_id: process.pid,
    uptime_in_seconds: kv.uptime,
  }),
  Clients: ({ kv }) => ({ connected_clients: kv.stats.clients }),
  Memory: () => ({ used_memory: process.memoryUsage.rss() }),
  Stats: ({ kv }) => ({
    total_connections_received: kv.stats.connections,
    total_commands_processed: kv.stats.commands,
  }),
  Keyspace: ({ store }): Record<string, string> =>
    store.size === 0 ? {} : { db0: `keys=${store.size},expires=${store.expiring},avg_ttl=0` },
};

function info(client: Client): void {
  const { request, reply } = client;
  const wanted = new Set(Array.from({ length: request.count - 1 }, (_, i) => request.text(i + 1).toLowerCase()));
  const all = wanted.size === 0 || ['all', 'default', 'everything'].some((name) => wanted.has(name));
  const sections = Object.entries(SECTIONS)
    .filter(([name]) => all || wanted.has(name.toLowerCase()))
    .map(([name, read]) => {
      const lines = Object.entries(read(client)).map(([field, value]) => `${field}:${value}\r\n`);
      return `# ${name}\r\n${lines.join('')}`;
    });
  reply.verbatim(sections.join('\r\n'));
}

/** Nothing is configured, but clients ask whether anything is saved. */
const CONFIG = new Map([
  ['save', ''],
  ['appendonly', 'no'],
]);

function config({ request, reply }: Client): void {
  if (!request.is(1, 'GET')) {
    reply.error(unknownSubcommand(request.text(1), 'CONFIG'));
    return;
  }
  if (request.count < 3) {
    reply.error(wrongArity('config|get'));
    return;
  }
  const names = Array.from({ length: request.count - 2 }, (_, i) => request.text(i + 2).toLowerCase());
  const known = [...new Set(names)].filter((name) => CONFIG.has(name));
  reply.map(known.length);
  for (const name of known) {
    reply.bulk(name);
    reply.bulk(CONFIG.get(name)!);
  }
}

function command({ request, reply }: Client): void {
  if (request.count === 1) {
    reply.array(commands.length);
    for (const each of commands) describe(each, reply);
  } else if (request.is(1, 'COUNT')) {
    reply.integer(commands.length);
  } else if (request.is(1, 'DOCS')) {
    const names = new Set(Array.from({ length: request.count - 2 }, (_, i) => request.text(i + 2).toLowerCase()));
    const wanted = names.size === 0 ? commands : commands.filter(({ name }) => names.has(name));
    reply.map(wanted.length);
    for (const each of wanted) document(each, reply);
  } else {
    reply.error(unknownSubcommand(request.text(1), 'COMMAND'));
  }
}

/** An item of COMMAND: ten facts, of which the last four are lists that are empty here. */
function describe({ name, arity, flags, keys }: Command, reply: ReplyWriter): void {
  reply.array(10);
  reply.bulk(name);
  reply.integer(arity);
  reply.array(flags.length);
  for (const flag of flags) reply.simple(flag);
  for (const place of keys) reply.integer(place);
  for (let i = 0; i < 4; i++) reply.array(0);
}

function document({ name, summary, group }: Command, reply: ReplyWriter): void {
  reply.bulk(name);
  reply.map(2);
  reply.bulk('summary');
  reply.bulk(summary);
  reply.bulk('group');
  reply.bulk(group);
}

const group = 'server';
const flags = ['loading', 'stale'];

export const commands: readonly Command[] = [
  ...strings,
  ...keys,
  ...connection,
  { name: 'info', arity: -1, group, summary: 'Get facts about the server', flags, keys: NO_KEYS, run: info },
  { name: 'config', arity: -2, group, summary: 'Get a setting', flags, keys: NO_KEYS, run: config },
  { name: 'command', arity: -1, group, summary: 'Get what commands there are', flags, keys: NO_KEYS, run: command },
];
