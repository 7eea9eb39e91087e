// A worker thread of a program's own: it has a port, a listener and connections with operations in flight, keeps no ledger,
// and ends as it is told to.
//
// workerData: library, backend.

import { parentPort, workerData } from 'node:worker_threads';

const { createBatch, EVENT_SIZE, endpoint, GatherList, openPort, Operation } = await import(workerData.library);
const port = openPort({ backend: workerData.backend });
const events = port.allocate(64 * EVENT_SIZE);
let used = 0;
const event = () => ({ block: events, offset: used * EVENT_SIZE, tag: used++, pending: false });
const flood = port.allocate(16 << 20);
const list = new GatherList();
list.add(flood, 0, flood.size);
const batch = createBatch(16);

const listener = await port.listen(endpoint('127.0.0.1', 0));
for (let i = 0; i < 4; i++) port.accept(listener, event());
parentPort.once('message', (how) => {
  if (how === 'exit') process.exit();
  throw new Error('as planned');
});
parentPort.postMessage(listener.localEndpoint());
port.watch(serve);

function serve() {
  for (let n = port.dequeue(batch, 0); n > 0; n = port.dequeue(batch, 0)) {
    for (const { operation, socket, data, buffer, error } of batch.slice(0, n)) {
      if (buffer >= 0) port.release(buffer);
      if (operation === Operation.Receive && data !== null) parentPort.postMessage('received');
      if (operation !== Operation.Accept || error !== null) continue;
      port.receive(socket, event());
      // The peer does not read.
      port.send(socket, event(), list);
      port.accept(listener, event());
    }
  }
  port.watch(serve);
}
