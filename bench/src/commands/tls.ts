// The command: TLS sessions against node:tls, and a server in C beside: messages of 64 bytes to 64 KiB, new connections, and the memory of idle ones.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type TlsMode, whyNoTls } from '../load/tls.js';
import { agents, onBackends } from '../measured/agent.js';
import { epollTls, RivalServer, whyNot } from '../measured/rivals.js';
import { type Server, withServers } from '../measured/server.js';
import { chart, type Group } from '../measuring/chart.js';
import { idleTlsMemory, overTls } from '../measuring/measures.js';
import { compare, number } from '../measuring/report.js';
import { type Series, spread, takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '1' },
    sizes: { type: 'string', default: '64,1024,16384,65536' },
    connections: { type: 'string', default: '1,10,50' },
    modes: { type: 'string', default: 'echo,new,resume,idle' },
    idle: { type: 'string', default: '2000' },
    backend: { type: 'string', multiple: true },
    /** A file for a chart of the CPU times, as SVG. */
    chart: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const numbers = (list: string) => list.split(',').map(Number);

const MESSAGE = 64;
/** Connections that are made at a time. */
const AT_A_TIME = 16;
const TITLES = { new: 'new TLS connections', resume: 'resumed TLS sessions' } as const;

const reason = whyNoTls();
if (reason !== undefined) {
  console.error(`Cannot measure TLS: ${reason}`);
  process.exit(1);
}

console.log(`${rounds} rounds of ${seconds} s; ratios to node:tls, the median of the rounds`);
const starts: (() => Promise<Server>)[] = onBackends('tls-sessions', 'echo', values.backend);
const rival = await epollTls();
const absent = await whyNot(rival);
if (absent === undefined) starts.push(() => RivalServer.start(rival));
else console.log(`${rival.by} is left out: ${absent}`);
starts.push(...agents(['tls-net'], 'echo'));
const groups: Group[] = [];

/** Prints a row of the results, and keeps it for the chart. */
function show(title: string, all: readonly Series[], unit: string): void {
  console.log(`\n${compare(title, all, unit)}`);
  const last = all.at(-1)!;
  const bars = all.map(({ by, samples }) => {
    const ratios = samples.map(({ cpu }, i) => cpu / last.samples[i]!.cpu);
    return { label: by.split(',')[0]!, value: 100 * spread(ratios).median };
  });
  groups.push({ title, bars });
}

for (const mode of values.modes.split(',') as (TlsMode | 'idle')[]) {
  await withServers(starts, async (servers) => {
    if (mode === 'idle') {
      const count = Number(values.idle);
      const bytes: number[] = [];
      for (const server of servers) bytes.push(await idleTlsMemory(server, count));
      console.log(`\nresident bytes of the server for each of ${number(count)} idle TLS connections`);
      for (const [i, { by }] of servers.entries()) {
        console.log(
          `  ${by.padEnd(22)}${number(bytes[i]!).padStart(14)}   x ${(bytes[i]! / bytes.at(-1)!).toFixed(2)}`,
        );
      }
    } else if (mode === 'echo') {
      for (const size of numbers(values.sizes)) {
        for (const connections of numbers(values.connections)) {
          const all = await takeTurns(servers, rounds, overTls(mode, connections, size, seconds));
          show(`echo, ${size} B x ${connections}`, all, 'messages');
        }
      }
    } else {
      const all = await takeTurns(servers, rounds, overTls(mode, AT_A_TIME, MESSAGE, seconds));
      show(TITLES[mode], all, 'connections');
    }
  });
}
if (values.chart !== undefined) {
  writeFileSync(values.chart, chart('CPU time in percent of node:tls', 'the server', groups));
}
