#!/usr/bin/env node
// The command: `echo serve` (or just `echo`) runs the server, `echo bench` measures and verifies one.

import { startMonitor } from '@overlapped/monitor';
import type { IocpCore } from '@overlapped/session';
import { backendOption, command, fail, GRACE, hostAndPort, onSignal, whole } from '@overlapped/support';
import type { BenchOptions } from './bench.js';
import { BenchError } from './client.js';
import { describeThreads, liveStats } from './display.js';
import { type EchoOptions, startEcho } from './server.js';

interface ServeOptions extends EchoOptions {
  readonly metricsPort?: number;
  readonly monitorPort?: number;
  readonly statsHost: string;
}

async function serve({ metricsPort, monitorPort, statsHost, ...options }: ServeOptions): Promise<void> {
  const { core, listener } = await startEcho(options);
  const metrics = await start('metrics', startMetrics, core, statsHost, metricsPort);
  const monitor = await start('monitor', startEchoMonitor, core, statsHost, monitorPort);
  let stopStats = () => {};
  onSignal(() => {
    stopStats();
    core.stop(GRACE).catch(fail);
  });
  console.log(
    `echo on ${hostAndPort(listener.endpoint)}, ${core.backend}, ${describeThreads(core.threads)} (SIGINT stops)`,
  );
  for (const line of [...metrics, ...monitor]) console.log(line);
  if (process.stdout.isTTY) stopStats = liveStats(core);
}

/** Starts a server of statistics, if a port is given for it. Gives the lines that say where it is. */
async function start(
  what: string,
  startOn: (core: IocpCore, host: string, port: number) => Promise<string>,
  core: IocpCore,
  host: string,
  port: number | undefined,
): Promise<string[]> {
  if (port === undefined) return [];
  try {
    return [`${what} on ${await startOn(core, host, port)}`];
  } catch (error) {
    await core.stop();
    if (error instanceof Error) error.message = `Cannot serve ${what}: ${error.message}`;
    throw error;
  }
}

function startEchoMonitor(core: IocpCore, host: string, port: number): Promise<string> {
  return startMonitor(core, host, port, { name: 'echo' });
}

// Loaded when they are needed: each takes as long to load as all the rest.

async function startMetrics(core: IocpCore, host: string, port: number): Promise<string> {
  return (await import('./metrics.js')).startMetrics(core, host, port);
}

async function measure(options: BenchOptions): Promise<void> {
  await (await import('./bench-command.js')).measure(options);
}

const about = 'An echo server on completion ports, and a client that measures and verifies one';
const program = command('echo', about, new URL('../package.json', import.meta.url)).addHelpText(
  'after',
  '\nWithout a command the options are those of serve: echo --port 9000 (see: echo help serve)',
);

program
  .command('serve', { isDefault: true })
  .description('send back all bytes that come in, until a signal')
  .option('--port <number>', 'port to listen on; 0 takes a free one', whole(0, 65535), 7777)
  .option('--host <address>', 'IP address to listen on', '127.0.0.1')
  .option('--threads <number>', 'worker threads that serve; 0: the main thread does', whole(0, 256), 0)
  .option(
    '--metrics-port <number>',
    'serve stats to Prometheus, at /metrics of this port; 0 takes a free one',
    whole(0, 65535),
  )
  .option('--monitor-port <number>', 'show live charts at this port; 0 takes a free one', whole(0, 65535))
  .option('--stats-host <address>', 'IP address for metrics and charts', '127.0.0.1')
  .addOption(backendOption())
  .action(serve);

program
  .command('bench')
  .description('measure an echo server, and compare every byte that it sends back')
  .option('--host <address>', 'IP address of the server', '127.0.0.1')
  .option('--port <number>', 'its port', whole(1, 65535), 7777)
  .option('--connections <number>', 'connections at a time', whole(1, 50_000), 50)
  .option('--size <bytes>', 'bytes of a message', whole(1, 1 << 20), 64)
  .option('--outstanding <number>', 'messages that each connection has under way', whole(1, 10_000), 1)
  .option('--seconds <number>', 'how long to measure', whole(1, 3600), 5)
  .addOption(backendOption())
  .action(measure);

// A finding of the bench is no bug: it is told in one line.
await program.parseAsync().catch((error) => (error instanceof BenchError ? fail(error, true) : fail(error)));
