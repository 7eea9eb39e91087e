// The command: the key-value server against the same one on node:net, and against Redis.

import { once } from 'node:events';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { whyNoLoad } from '../load/load.js';
import { underBenchmark, whyNoBenchmark } from '../load/redis-benchmark.js';
import { kv, kvOnNet, redis } from '../measured/kv-servers.js';
import { type Rival, RivalServer, whyNot } from '../measured/rivals.js';
import { type Server, withServers } from '../measured/server.js';
import { underLoad } from '../measuring/measures.js';
import { atLeast, cpu, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '11' },
    seconds: { type: 'string', default: '1' },
    pipeline: { type: 'string', default: '1,16' },
    'client-threads': { type: 'string', default: '1' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const threads = Number(values['client-threads']);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const CONNECTIONS = 50;
/** Requests of each kind that redis-benchmark makes in about half a second, by pipeline. */
const REQUESTS_PER_ROUND = (pipeline: number) => (pipeline === 1 ? 40_000 : 400_000);
const TARGETS: Readonly<Record<number, number>> = { 1: 1.5, 16: 1.2 };

// A GET and its answer of the same length: what the lean client sends.
const KEY = 'k'.repeat(44);
const VALUE = 'v'.repeat(57);
const GET = `*2\r\n$3\r\nGET\r\n$44\r\n${KEY}\r\n`;
const SET = `*3\r\n$3\r\nSET\r\n$44\r\n${KEY}\r\n$57\r\n${VALUE}\r\n`;

async function store({ port }: Server): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.write(SET);
  await once(socket, 'data');
  socket.destroy();
}

const rivals: Rival[] = [kvOnNet];
const redisServer = await redis();
const noRedis = await whyNot(redisServer);
if (noRedis === undefined) rivals.push(redisServer);
else console.log(`redis-server is left out: ${noRedis}`);
const noBenchmark = whyNoBenchmark();
if (noBenchmark !== undefined) console.log(`left out: ${noBenchmark}`);
const noLoad = whyNoLoad();
if (noLoad !== undefined) console.log(`left out: ${noLoad}`);

await withServers(
  [kv, ...rivals].map((rival) => () => RivalServer.start(rival)),
  async (servers) => {
    console.log(`${CONNECTIONS} connections; ${rounds} rounds of ${seconds} s\n`);
    for (const server of servers) await store(server);
    for (const pipeline of values.pipeline.split(',').map(Number)) {
      const target = { 'node:net': atLeast(TARGETS[pipeline] ?? 1), 'redis-server': atLeast(0.8) };
      const figures = [rate('requests', target), cpu('request')];
      if (noBenchmark === undefined) {
        const requests = Math.round(REQUESTS_PER_ROUND(pipeline) * seconds);
        const measure = underBenchmark({ connections: CONNECTIONS, pipeline, requests, threads });
        console.log(report(`redis-benchmark, -P ${pipeline}`, await takeTurns(servers, rounds, measure), figures));
      }
      if (noLoad === undefined) {
        const batches = underLoad('echo', CONNECTIONS, seconds, GET.repeat(pipeline));
        const measure = async (server: Server) => {
          const sample = await batches(server);
          return { ...sample, rate: sample.rate * pipeline, cpu: sample.cpu / pipeline };
        };
        console.log(report(`a lean client, ${pipeline} GETs`, await takeTurns(servers, rounds, measure), figures));
      }
    }
  },
);
