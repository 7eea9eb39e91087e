// The command: messages of 64 bytes to 1 MiB, and streams in both directions, for sessions, their streams, a dedicated thread, and
// node:net.

import { parseArgs } from 'node:util';
import type { SizesMode } from '../load/sizes.js';
import { agents, onBackends, type Program } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { ofSize } from '../measuring/measures.js';
import { compare } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '1' },
    sizes: { type: 'string', default: '64,1024,16384,65536,524288,1048576' },
    connections: { type: 'string', default: '1,10,50' },
    modes: { type: 'string', default: 'echo,pour,sink' },
    servers: { type: 'string', default: 'overlapped,duplex,dedicated' },
    backend: { type: 'string', multiple: true },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const numbers = (list: string) => list.split(',').map(Number);

/** Milliseconds between two measurements: the connections of one have ended before the next begins. */
const PAUSE = 50;
const UNITS = {
  echo: { title: 'echo', unit: 'messages' },
  pour: { title: 'stream out', unit: 'MB' },
  sink: { title: 'stream in', unit: 'MB' },
} as const;

console.log(`${rounds} rounds of ${seconds} s; ratios to node:net, the median of the rounds`);
for (const mode of values.modes.split(',') as SizesMode[]) {
  const programs = values.servers.split(',') as Program[];
  const starts = [
    ...programs.flatMap((program) => onBackends(program, mode, values.backend)),
    ...agents(['node-net'], mode),
  ];
  await withServers(starts, async (servers) => {
    for (const bytes of numbers(values.sizes)) {
      for (const connections of numbers(values.connections)) {
        const all = await takeTurns(servers, rounds, ofSize(mode, connections, bytes, seconds), PAUSE);
        const { title, unit } = UNITS[mode];
        console.log(`\n${compare(`${title}, ${bytes} B x ${connections}`, all, unit)}`);
      }
    }
  });
}
