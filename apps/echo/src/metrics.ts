// The statistics of a core for Prometheus: an HTTP endpoint that reads them when it is asked, and costs nothing otherwise.

import { serveHttp } from '@overlapped/monitor';
import type { CoreStats, IocpCore } from '@overlapped/session';
import { Counter, Gauge, Registry } from 'prom-client';

type Kind = typeof Counter | typeof Gauge;

/** The name of each statistic there, without its prefix, and its help text. */
const METRICS: Record<keyof CoreStats, readonly [Kind, name: string, help: string]> = {
  sessions: [Gauge, 'sessions', 'Sessions that are open.'],
  bytesQueued: [Gauge, 'queued_bytes', 'Bytes that wait to be sent, or are being sent.'],
  events: [Gauge, 'events_in_use', 'Events that are out of their pool: operations in flight.'],
  receiveBuffers: [Gauge, 'receive_buffers_in_use', 'Receive buffers that are out of their pool.'],
  sendBuffers: [Gauge, 'send_buffers_in_use', 'Send buffers that are out of their pool.'],
  timers: [Gauge, 'timers', 'Timers that are set.'],
  slots: [Gauge, 'slots_in_use', 'Threads of the shared port that hold a slot and work on a packet.'],
  accepted: [Counter, 'sessions_accepted_total', 'Connections that became sessions.'],
  ended: [Counter, 'sessions_ended_total', 'Sessions that are over.'],
  refused: [Counter, 'connections_refused_total', 'Connections that were reset before they became sessions.'],
  refusedFull: [Counter, 'refused_full_total', 'Of these: there were too many sessions.'],
  refusedRate: [Counter, 'refused_rate_total', 'Of these: too many came in a second.'],
  refusedDenied: [Counter, 'refused_denied_total', 'Of these: the address is denied, or not allowed.'],
  refusedAddress: [Counter, 'refused_address_total', 'Of these: the address had too many sessions.'],
  refusedProxy: [Counter, 'refused_proxy_total', 'Of these: no PROXY header that could be trusted came in time.'],
  refusedTls: [Counter, 'refused_tls_total', 'Of these: the TLS handshake failed, or took too long.'],
  timedOut: [Counter, 'sessions_timed_out_total', 'Sessions that a timeout closed.'],
  failed: [Counter, 'handlers_failed_total', 'Handlers that threw, or whose promises rejected.'],
  overflowed: [Counter, 'sessions_overflowed_total', 'Sessions that were closed as too many bytes waited.'],
  droppedMessages: [Counter, 'dropped_messages_total', 'Messages that were dropped as too many bytes waited.'],
  packets: [Counter, 'packets_total', 'Completion packets.'],
  wakeUps: [Counter, 'wake_ups_total', 'Times that the pump found packets.'],
  dispatchSeconds: [Counter, 'dispatch_seconds_total', 'Seconds spent in handing packets to their owners.'],
  bytesReceived: [Counter, 'bytes_received_total', 'Bytes received.'],
  bytesSent: [Counter, 'bytes_sent_total', 'Bytes that the kernel has taken to send.'],
  lateTimers: [Counter, 'late_timers_total', 'Timers that ran more than 3 ms after they were due.'],
  droppedPackets: [Counter, 'dropped_packets_total', 'Late packets that were dropped, their sockets being gone.'],
  starved: [Counter, 'receive_starvations_total', 'Times that data was there and no receive buffer was free.'],
  skipped: [Counter, 'broadcast_skips_total', 'Times that a broadcast passed over a session with a full queue.'],
  lost: [Counter, 'sessions_lost_total', 'Sessions that were lost with their worker thread.'],
  blocked: [Counter, 'handlers_blocked_total', 'Times that a handler blocked its thread of the shared port.'],
};

/** Statistics, and the labels that say whose they are. */
interface Sample {
  readonly stats: CoreStats;
  readonly labels: Record<string, string>;
}

/**
 * Serves `GET /metrics` until the core stops, and gives its URL. Rejects with the system's error: EADDRINUSE ...
 * Port 0 takes a free one.
 */
export async function startMetrics(core: IocpCore, host: string, port: number): Promise<string> {
  const registry = register(core);
  const url = await serveHttp(core, host, port, {
    '/metrics': async (response) => {
      response.setHeader('Content-Type', registry.contentType).end(await registry.metrics());
    },
  });
  return `${url}/metrics`;
}

/** All statistics twice: of the whole server, and by thread. The first are more once a thread has been lost and replaced. */
function register(core: IocpCore): Registry {
  const registry = new Registry();
  const total = () => [{ stats: core.stats().total, labels: {} }];
  addStats(registry, 'overlapped_', total, []);
  addStats(registry, 'overlapped_thread_', () => byThread(core), ['thread']);
  return registry;
}

function byThread(core: IocpCore): Sample[] {
  const { own, workers } = core.stats();
  return [
    { stats: own, labels: { thread: 'main' } },
    ...workers.map((stats, index) => ({ stats, labels: { thread: String(index) } })),
  ];
}

function addStats(registry: Registry, prefix: string, samples: () => Sample[], labelNames: string[]): void {
  const add = (Metric: Kind, name: string, help: string, value: (stats: CoreStats) => number) => {
    new Metric({
      name: prefix + name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { stats, labels } of samples()) this.inc(labels, value(stats));
      },
    });
  };
  for (const [stat, [metric, name, help]] of Object.entries(METRICS)) {
    add(metric, name, help, (stats) => stats[stat as keyof CoreStats]);
  }
  const perWakeUp = ({ packets, wakeUps }: CoreStats) => (wakeUps === 0 ? 0 : packets / wakeUps);
  add(Gauge, 'packets_per_wake_up', 'Completion packets for each wake-up, since the start.', perWakeUp);
}
