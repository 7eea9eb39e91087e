// A worker thread with a port of its own, which keeps a ledger. Each connection, of its own listener or posted as a key,
// has a receive in flight, and a send that its peer does not read. The posts 0 to 2 are no handles: 0 asks for an orderly
// end, at 1 the thread is lost in a loop, and 2 has the handle in its bytes closed.
//
// workerData: library, backend, ledger, start (the thread does nothing before this is notified), waits: whether dequeue()
// waits, or the event loop does; and path, to listen there.

import { parentPort, workerData } from 'node:worker_threads';

const { createBatch, EVENT_SIZE, endpoint, GatherList, openPort, Operation } = await import(workerData.library);
const { closeHandle, keepLedger } = await import(new URL('./internal.js', workerData.library));
keepLedger(workerData.ledger);
const port = openPort({ backend: workerData.backend });
const events = port.allocate(1024 * EVENT_SIZE);
let used = 0;
const event = () => ({ block: events, offset: used * EVENT_SIZE, tag: used++, pending: false });
const flood = port.allocate(16 << 20);
const list = new GatherList();
list.add(flood, 0, flood.size);
const batch = createBatch(16);
let ending = false;

const { path } = workerData;
const listener = await port.listen(path ? { path } : endpoint('127.0.0.1', 0));
for (let i = 0; i < 4; i++) port.accept(listener, event());
parentPort.postMessage({ token: port.share(), local: path ? { path } : listener.localEndpoint() });
Atomics.wait(new Int32Array(workerData.start), 0, 0);
if (workerData.waits) wait();
else port.watch(guest);

function wait() {
  if (look(20)) setImmediate(wait);
}

function guest() {
  if (look(0)) port.watch(guest);
}

/** Serves what there is. False once the port is closed. */
function look(timeout) {
  for (let n = port.dequeue(batch, timeout); n > 0; n = port.dequeue(batch, 0)) {
    for (const packet of batch.slice(0, n)) serve(packet);
    if (ending) {
      // The batch has been served.
      port.dequeue(batch, 0);
      port.destroy();
      return false;
    }
  }
  return true;
}

function serve({ operation, key, bytes, socket, data, buffer, error }) {
  if (buffer >= 0) port.release(buffer);
  if (operation === Operation.Post && key === 0) ending = true;
  else if (operation === Operation.Post && key === 1) lose();
  else if (operation === Operation.Post && key === 2) closeHandle(port.backend, bytes);
  else if (operation === Operation.Post) begin(port.adopt(key));
  else if (operation === Operation.Accept && error === null) begin(socket);
  else if (operation === Operation.Receive && data !== null) parentPort.postMessage('received');
}

function begin(socket) {
  port.receive(socket, event());
  port.send(socket, event(), list);
  port.accept(listener, event());
}

function lose() {
  parentPort.postMessage('lost');
  for (;;);
}
