// The command: what becomes of 100 clients when the handlers of four others block their threads.

import { parseArgs } from 'node:util';
import { Agent } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { besideSleepers } from '../measuring/measures.js';
import { atLeast, cpu, p50, p99, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '2' },
    // The port has twice as many threads: as many as block, and as many again.
    concurrency: { type: 'string', default: '4' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const CONNECTIONS = 100;
const SLEEPERS = 4;

const starts = [
  () => Agent.start('shared', 'asked', Number(values.concurrency)),
  () => Agent.start('node-net', 'asked'),
];
await withServers(starts, async (servers) => {
  console.log(`${CONNECTIONS} clients echo 64 bytes; the handlers of ${SLEEPERS} others sleep for 100 ms each time;`);
  console.log(`targets of ours: half within 2000 us, 99 % within 20000 us; ${rounds} rounds of ${seconds} s\n`);
  const series = await takeTurns(servers, rounds, besideSleepers(CONNECTIONS, SLEEPERS, seconds));
  const figures = [rate('messages', { 'node:net': atLeast(50) }), p50, p99, cpu('message')];
  console.log(report(`${CONNECTIONS} connections`, series, figures));
});
