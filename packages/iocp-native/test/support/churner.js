// A worker thread with a port and a ledger that connects to its own listener and closes both ends, as fast as it can, and
// says so after every 100. It never stops by itself.
//
// workerData: library, backend, ledger.

import { parentPort, workerData } from 'node:worker_threads';

const { createBatch, EVENT_SIZE, endpoint, openPort, Operation } = await import(workerData.library);
const { keepLedger } = await import(new URL('./internal.js', workerData.library));
keepLedger(workerData.ledger);
const port = openPort({ backend: workerData.backend });
const ENDS = 32;
const records = port.allocate(ENDS * EVENT_SIZE);
const listener = await port.listen(endpoint('127.0.0.1', 0));
const local = listener.localEndpoint();
let tag = 0;
let closed = 0;

/** The event of a connect or of an accept, used again and again. */
class End {
  block = records;
  tag = 0;
  pending = false;

  constructor(slot) {
    this.offset = slot * EVENT_SIZE;
    this.accepts = slot % 2 === 0;
  }

  begin() {
    this.tag = tag++ >>> 0;
    if (this.accepts) port.accept(listener, this);
    else port.connect(this, local, undefined);
  }
}

for (let slot = 0; slot < ENDS; slot++) new End(slot).begin();
const batch = createBatch(8);
for (;;) {
  const count = port.dequeue(batch, 20);
  for (let i = 0; i < count; i++) {
    const { operation, event, socket } = batch[i];
    if (operation === Operation.Close && ++closed % 100 === 0) parentPort.postMessage(closed);
    if (event === null) continue;
    if (socket !== null) port.close(socket, true);
    event.begin();
  }
}
