// The command: what it costs that any thread handles any session, against node:net and against sessions pinned to threads.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Agent } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { underLoad } from '../measuring/measures.js';
import { atMost, cpu, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '1' },
    concurrency: { type: 'string', default: String(availableParallelism()) },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const concurrency = Number(values.concurrency);

const starts = [
  () => Agent.start('shared', 'asked', concurrency),
  () => Agent.start('node-net', 'echo'),
  () => Agent.start('dedicated', 'echo', concurrency),
];
await withServers(starts, async (servers) => {
  console.log(`echo of 64 bytes, one message outstanding on each connection; ${rounds} rounds of ${seconds} s\n`);
  for (const connections of [50, 500]) {
    const series = await takeTurns(servers, rounds, underLoad('echo', connections, seconds));
    const figures = [rate('messages'), cpu('message', { 'node:net': atMost(0.9) })];
    console.log(report(`${connections} connections`, series, figures));
  }
});
