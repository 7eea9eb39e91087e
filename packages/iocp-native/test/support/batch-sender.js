// A worker thread with a port over epoll that makes many sends behind one batch, and says how many contexts of Linux AIO the process has
// then. Asked to, it destroys its port and ends.
//
// workerData: library, ledger (or null, of a program's own thread).

import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

const { createBatch, EVENT_SIZE, endpoint, GatherList, openPort, Operation } = await import(workerData.library);
if (workerData.ledger) (await import(new URL('./internal.js', workerData.library))).keepLedger(workerData.ledger);
const PAIRS = 8;
const port = openPort({ backend: 'epoll' });
const events = port.allocate(64 * EVENT_SIZE);
let used = 0;
const event = () => ({ block: events, offset: used * EVENT_SIZE, tag: used++, pending: false });
const list = new GatherList();
list.add(port.allocate(64), 0, 64);
const batch = createBatch(64);

/** Dequeues until so many packets of an operation have come. Gives their sockets. */
function take(operation, count) {
  const sockets = [];
  while (sockets.length < count) {
    const packets = batch.slice(0, port.dequeue(batch, 1000));
    for (const { buffer } of packets) if (buffer >= 0) port.release(buffer);
    for (const packet of packets) if (packet.operation === operation) sockets.push(packet.socket);
  }
  return sockets;
}

const listener = await port.listen(endpoint('127.0.0.1', 0));
const clients = [];
const servers = [];
for (let i = 0; i < PAIRS; i++) {
  port.accept(listener, event());
  clients.push(port.connect(event(), listener.localEndpoint()));
  servers.push(...take(Operation.Accept, 1));
}
for (const client of clients) port.send(client, event(), list);
take(Operation.Send, PAIRS);
for (const server of servers) port.receive(server, event());
take(Operation.Receive, PAIRS);
for (const server of servers) port.send(server, event(), list);
take(Operation.Send, PAIRS);
parentPort.once('message', () => {
  port.destroy();
  parentPort.close();
});
parentPort.postMessage(readFileSync('/proc/self/maps', 'latin1').split('[aio]').length - 1);
