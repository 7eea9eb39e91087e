// The command: sessions against node:net, in throughput, CPU time, and new connections.

import { parseArgs } from 'node:util';
import { agents, onBackends } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { burst, drain, underLoad } from '../measuring/measures.js';
import { atLeast, atMost, cpu, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';
import type { Behaviour } from '../servers/agent.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '1' },
    backend: { type: 'string', multiple: true },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

/** As many as the backlog takes: more would wait for SYNs to be sent again. */
const BACKLOG = 4000;
const CONNECTIONS = 50;
/** A burst is over in a moment: there are this many for each round. */
const BURSTS = 2;

const starts = (behaviour: Behaviour) => [
  ...onBackends('overlapped', behaviour, values.backend),
  ...agents(['node-net'], behaviour),
];

await withServers(starts('echo'), async (servers) => {
  console.log(`echo of 64 bytes, one message outstanding on each connection; ${rounds} rounds of ${seconds} s\n`);
  const at50 = await takeTurns(servers, rounds, underLoad('echo', 50, seconds));
  const targets = [rate('messages', { 'node:net': atLeast(1.3) }), cpu('message', { 'node:net': atMost(0.6) })];
  console.log(report('50 connections', at50, targets));
  const at500 = await takeTurns(servers, rounds, underLoad('echo', 500, seconds));
  console.log(report('500 connections', at500, [rate('messages'), cpu('message', { 'node:net': atMost(0.5) })]));

  console.log('\nnew connections; the target is x 5\n');
  const figures = [rate('connections'), cpu('connection')];
  const churned = await takeTurns(servers, rounds, underLoad('churn', CONNECTIONS, seconds));
  console.log(report('with one message', churned, figures));
  console.log(report(`burst of ${BACKLOG}`, await takeTurns(servers, rounds * BURSTS, burst(BACKLOG)), figures));
  console.log(report(`backlog of ${BACKLOG}`, await takeTurns(servers, rounds * BURSTS, drain(BACKLOG)), figures));
});

await withServers(starts('knock'), async (servers) => {
  const knocked = await takeTurns(servers, rounds, underLoad('knock', CONNECTIONS, seconds));
  console.log(report('ended at once', knocked, [rate('connections'), cpu('connection')]));
});
