// Starts workers that have operations in flight and watch their ports, and terminates them. Ends with 0 if the process
// survives that. Its argument is the built package.

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const library = isMainThread ? process.argv[2] : workerData;

if (isMainThread) {
  for (let i = 0; i < 10; i++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: library });
    await once(worker, 'message');
    await worker.terminate();
  }
} else {
  const { createBatch, endpoint, EVENT_SIZE, openPort, Operation } = await import(library);
  const port = openPort();
  const block = port.allocate(8 * EVENT_SIZE);
  const event = (slot) => ({ block, offset: slot * EVENT_SIZE, tag: slot, pending: false });
  const listener = await port.listen(endpoint('127.0.0.1', 0));
  port.accept(listener, event(0));
  port.accept(listener, event(1));
  port.connect(event(2), listener.localEndpoint(), 'client');
  const batch = createBatch(8);
  port.watch(function drain() {
    for (let count = port.dequeue(batch, 0); count > 0; count = port.dequeue(batch, 0)) {
      for (const { operation, socket } of batch.slice(0, count)) {
        if (operation === Operation.Connect) port.receive(socket, event(3));
        if (operation === Operation.Accept) {
          port.receive(socket, event(4));
          parentPort.postMessage('receives, and an accept, are in flight');
        }
      }
    }
    port.watch(drain);
  });
}
