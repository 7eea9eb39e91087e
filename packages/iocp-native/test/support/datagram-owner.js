// A worker thread with a port of its own, which keeps a ledger, and echoes datagrams until it is terminated.
//
// workerData: library, backend, ledger.

import { parentPort, workerData } from 'node:worker_threads';

const { createBatch, EVENT_SIZE, endpoint, GatherList, openPort } = await import(workerData.library);
const { keepLedger } = await import(new URL('./internal.js', workerData.library));
keepLedger(workerData.ledger);
const port = openPort({ backend: workerData.backend });
const events = port.allocate(64 * EVENT_SIZE);
let used = 0;
const event = () => ({ block: events, offset: used * EVENT_SIZE, tag: used++, pending: false });
const text = port.allocate(64);
const list = new GatherList();
list.add(text, 0, text.bytes.write('echo'));

const socket = await port.bind(endpoint('127.0.0.1', 0));
port.receive(socket, event());
parentPort.postMessage(socket.localEndpoint());

const batch = createBatch(8);
port.watch(function drain() {
  for (let count = port.dequeue(batch, 0); count > 0; count = port.dequeue(batch, 0)) {
    for (const { from, buffer } of batch.slice(0, count)) {
      if (buffer < 0) continue;
      port.sendTo(socket, event(), list, from);
      port.release(buffer);
    }
  }
  port.watch(drain);
});
