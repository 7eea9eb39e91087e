// The command: Node's http over sessions against http as it is, in requests and CPU time.

import { parseArgs } from 'node:util';
import { requests } from '../load/cannon.js';
import { agents } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { atLeast, cpu, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, seconds: { type: 'string', default: '1' } },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const CONNECTIONS = 50;

await withServers(agents(['http-sessions', 'http-net'], 'http'), async (servers) => {
  console.log(`GET on ${CONNECTIONS} connections that are kept alive; ${rounds} rounds of ${seconds} s\n`);
  const figures = [rate('requests', { 'node:net': atLeast(0.85) }), cpu('request')];
  for (const [title, path] of [
    ['11 bytes', '/'],
    ['64 KiB', '/page'],
  ] as const) {
    console.log(report(title, await takeTurns(servers, rounds, requests(path, CONNECTIONS, seconds)), figures));
  }
});
