// The entry of a thread of the shared port: loads the modules of the services, and serves until the port is closed.

import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import {
  blockAt,
  carryError,
  guarded,
  keepGuard,
  keepLedger,
  openSocketPort,
  ownThread,
} from '@overlapped/iocp-native/internal';
import { StatsBlock } from '@overlapped/net-core/internal';
import { loadSharedKind } from './load-kind.js';
import { Held, type HostedService, type SharedReport, type SharedStart } from './protocol.js';
import { SharedThread } from './shared-thread.js';
import { blocksSize, SharedTable } from './table.js';

const { token, table, index, services, port, ledger, guard, held, stats } = workerData as SharedStart;
const tell = (report: SharedReport) => port.postMessage(report);

keepLedger(ledger);
held[Held.Thread] = ownThread();
keepGuard(guard);
const known = new Map(services.map((service) => [service.index, service]));
const { packets, thread } = guarded(() => {
  const block = blockAt(table.address, blocksSize(table.blocks));
  const { port, sockets } = openSocketPort(token);
  const shared = new SharedTable(table, block, index);
  return { packets: port, thread: new SharedThread(shared, port, sockets, held, loadLater, serviceOf) };
});
thread.statsBlock = new StatsBlock(stats);
try {
  let stateSize = 0;
  for (const { index: service, serial, module } of services)
    stateSize = thread.host(service, serial, await loadSharedKind(module));
  packets.prepare?.();
  tell({ stateSize });
  thread.start();
} catch (error) {
  tell({ error: carryError(error) });
}

/** The services that the owner has sent: each one's module and its states come before any packet of it. */
function serviceOf(index: number): HostedService {
  const complete = known.get(index);
  if (complete?.states && complete.serial === thread.serialOf(index)) return complete;
  for (let order = receiveMessageOnPort(port); order; order = receiveMessageOnPort(port)) {
    const service = order.message as HostedService;
    known.set(service.index, service);
  }
  return known.get(index)!;
}

async function loadLater(service: number): Promise<number> {
  try {
    const { serial, module } = serviceOf(service);
    const stateSize = thread.host(service, serial, await loadSharedKind(module));
    tell({ stateSize, service });
    return stateSize;
  } catch (error) {
    tell({ error: carryError(error), service });
    throw error;
  }
}
