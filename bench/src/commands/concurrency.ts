// The command: the concurrency of a shared port, with handlers that do nothing, that compute, and that block.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Agent } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { chart, type Group } from '../measuring/chart.js';
import { asking } from '../measuring/measures.js';
import { cpu, rate, switches, table } from '../measuring/report.js';
import { spread, takeTurns } from '../measuring/rounds.js';
import { COMPUTE, PAUSE } from '../servers/asked.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '1' },
    /** A file for a chart of the messages a second, as SVG. */
    chart: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const CONCURRENCIES = [1, 2, 4, 8, 16];
const CONNECTIONS = 50;

const starts = CONCURRENCIES.map((concurrency) => () => Agent.start('shared', 'asked', concurrency));
await withServers(starts, async (servers) => {
  console.log(`${CONNECTIONS} connections, twice as many threads as run at a time; ${rounds} rounds of ${seconds} s\n`);
  const figures = [rate('messages'), cpu('message'), switches];
  const handlers = { 'do nothing': 'm', 'compute for 0.1 ms': COMPUTE, 'block for 5 ms': PAUSE };
  const groups: Group[] = [];
  for (const [title, letter] of Object.entries(handlers)) {
    const series = await takeTurns(servers, rounds, asking(letter, CONNECTIONS, seconds));
    console.log(table(`handlers ${title}`, series, figures));
    const bars = series.map(({ samples }, i) => {
      return { label: String(CONCURRENCIES[i]), value: spread(samples.map(figures[0]!.of)).median };
    });
    groups.push({ title: `handlers ${title}`, bars });
  }
  if (values.chart !== undefined) writeFileSync(values.chart, chart('Messages a second', 'concurrency', groups));
});
