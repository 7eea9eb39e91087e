// The command: datagram sessions against node:dgram.

import { parseArgs } from 'node:util';
import { agents } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { underLoad } from '../measuring/measures.js';
import { cpu, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, seconds: { type: 'string', default: '0.5' } },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

/** With more, what is outstanding would not fit the buffer that the kernel has for one socket. */
const PEERS = [1, 50, 200];

await withServers(agents(['datagrams', 'node-dgram'], 'echo'), async (servers) => {
  console.log(`echo of datagrams of 64 bytes, one outstanding for each peer; ${rounds} rounds of ${seconds} s\n`);
  for (const peers of PEERS) {
    const series = await takeTurns(servers, rounds, underLoad('datagrams', peers, seconds));
    console.log(report(`${peers} peers`, series, [rate('datagrams'), cpu('datagram')]));
  }
});
