// The entry of a thread of the shared port: loads the modules of the services, and serves until the port is closed.

import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { blockAt, carryError, keepLedger, SharedSockets, SocketPort } from '@overlapped/iocp-native/internal';
import { LoadGuard } from '@overlapped/net-core/internal';
import { loadSharedKind, type SharedKind } from './load-kind.js';
import type { HostedService, SharedReport, SharedStart } from './protocol.js';
import { SharedThread } from './shared-thread.js';
import { blocksSize, SharedTable } from './table.js';

const { token, table, services, port, ledger, guard: loading, accepted } = workerData as SharedStart;
const tell = (report: SharedReport) => port.postMessage(report);

keepLedger(ledger);
const guard = new LoadGuard(loading);
// Terminated at any moment now. A wait that nothing ends must not let the thread end by itself before.
if (!guard.begin()) await new Promise(() => setInterval(() => {}, 1000));
const block = blockAt(table.address, blocksSize(table.blocks));
const modules = new Map(services.map(({ index, module }) => [index, module]));
const thread = new SharedThread(
  new SharedTable(table, block),
  new SocketPort(token),
  new SharedSockets(),
  accepted,
  loadLater,
);
guard.done();
try {
  for (const { index, module } of services) thread.host(index, await loadSharedKind(module));
  tell({ loaded: true });
  thread.start();
} catch (error) {
  tell({ error: carryError(error) });
}

/** The owner has sent the service's module before any packet of it could come. */
async function loadLater(service: number): Promise<SharedKind> {
  for (let order = receiveMessageOnPort(port); order; order = receiveMessageOnPort(port)) {
    const { index, module } = order.message as HostedService;
    modules.set(index, module);
  }
  try {
    const kind = await loadSharedKind(modules.get(service)!);
    tell({ loaded: true, service });
    return kind;
  } catch (error) {
    tell({ error: carryError(error), service });
    throw error;
  }
}
