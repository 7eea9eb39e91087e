// The command: how timers, files and fetches fare on the thread of a dedicated pump, idle and under load, beside node:net;
// and what an idle server costs.

import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { runLoad } from '../load/load.js';
import { Agent } from '../measured/agent.js';
import { type Server, withServers } from '../measured/server.js';
import { number } from '../measuring/report.js';
import { spread } from '../measuring/rounds.js';
import { ASK, type Life } from '../servers/life.js';

/** Seconds of load, which outlast the report, and of idleness. */
const LOAD_SECONDS = 8;
const IDLE_SECONDS = 5;
/** Milliseconds for the load to be there, and for a server that has just started to come to rest. */
const SETTLE = 500;
const REST = 10_000;

const starts = [() => Agent.start('dedicated', 'life'), () => Agent.start('node-net', 'life')];
await withServers(starts, async (servers) => {
  await sleep(REST);
  for (const server of servers) {
    const before = await server.cpu();
    await sleep(IDLE_SECONDS * 1000);
    const cpu = (await server.cpu()) - before;
    console.log(`${server.by}, idle: ${number(cpu / IDLE_SECONDS)} us of CPU time a second, with the asking`);
  }
  for (const server of servers) print(`${server.by}, idle`, await ask(server));
  for (const connections of [50, 500]) {
    for (const server of servers) {
      const load = runLoad({ mode: 'echo', port: server.port, connections, seconds: LOAD_SECONDS });
      await sleep(SETTLE);
      print(`${server.by}, ${connections} connections`, await ask(server));
      await load;
    }
  }
});

async function ask({ port }: Server): Promise<Life> {
  const socket = connect(port, '127.0.0.1');
  socket.write(ASK);
  const [line] = await once(createInterface(socket), 'line');
  socket.destroy();
  return JSON.parse(line);
}

function print(title: string, { late, read, fetch }: Life): void {
  const all = Object.entries({
    'a timer of 10 ms is late': late,
    'reading a file takes': read,
    'a fetch takes': fetch,
  });
  const lines = all.map(([what, values]) => `  ${what.padEnd(26)}${describe(values)}`);
  console.log([`\n${title}`, ...lines].join('\n'));
}

function describe(values: readonly number[]): string {
  const { median, most } = spread(values);
  return `${number(median)} ms, at most ${number(most)} ms`;
}
