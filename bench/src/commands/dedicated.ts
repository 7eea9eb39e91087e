// The command: sessions on a thread that waits in the kernel, against node:net, two servers in C, and Bun.

import { parseArgs } from 'node:util';
import { Agent, onBackends } from '../measured/agent.js';
import { bun, epoll, liburing, RivalServer, whyNot } from '../measured/rivals.js';
import { type Server, withServers } from '../measured/server.js';
import { underLoad } from '../measuring/measures.js';
import { atLeast, atMost, cpu, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '1' },
    backend: { type: 'string', multiple: true },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const starts: (() => Promise<Server>)[] = [
  ...onBackends('dedicated', 'echo', values.backend),
  () => Agent.start('node-net', 'echo'),
];
for (const rival of [liburing, epoll, bun]) {
  const reason = await whyNot(rival);
  if (reason === undefined) starts.push(() => RivalServer.start(rival));
  else console.log(`${rival.by} is left out: ${reason}`);
}

await withServers(starts, async (servers) => {
  console.log(`echo of 64 bytes, one message outstanding on each connection; ${rounds} rounds of ${seconds} s\n`);
  const targets = [
    rate('messages', { 'node:net': atLeast(1.5), 'C, io_uring': atLeast(0.9) }),
    cpu('message', {
      'node:net': atMost(0.5),
      'C, io_uring': atMost(1.25),
      'C, epoll': atMost(1.25),
      Bun: atMost(0.9),
    }),
  ];
  const at50 = await takeTurns(servers, rounds, underLoad('echo', 50, seconds));
  console.log(report('50 connections', at50, targets));
  const at500 = await takeTurns(servers, rounds, underLoad('echo', 500, seconds));
  console.log(report('500 connections', at500, [rate('messages'), cpu('message')]));
});
