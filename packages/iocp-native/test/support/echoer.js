// A worker thread with a port of its own, on which it waits in dequeue(): adopts the handles that are posted as keys, and
// echoes what comes until the peer's FIN. Ends when key 0 has been posted and no connection is left.

import { parentPort, workerData } from 'node:worker_threads';

const { createBatch, EVENT_SIZE, GatherList, openPort, Operation } = await import(workerData.library);
const port = openPort({ backend: workerData.backend });
const records = port.allocate(64 * EVENT_SIZE);
let used = 0;
const event = () => ({ block: records, offset: used * EVENT_SIZE, tag: used++, pending: false });
const list = new GatherList();

/** One connection: the packets that wait to be echoed, and whether the peer has ended. */
class Echo {
  queue = [];
  sending = event();
  /** From the start of a send until its packet is served; `sending.pending` ends as soon as that is dequeued. */
  busy = false;
  ended = false;

  constructor(socket) {
    this.socket = socket;
    socket.key = this;
    port.receive(socket, event());
  }

  received({ data, buffer }) {
    if (data === null) this.ended = true;
    else this.queue.push({ offset: port.placeOf(data), length: data.length, buffer });
    if (!this.busy) this.next();
  }

  sent() {
    port.release(this.queue.shift().buffer);
    this.next();
  }

  next() {
    const [first] = this.queue;
    this.busy = first !== undefined;
    if (first) {
      list.clear();
      list.add(port.receiveBlock, first.offset, first.length);
      port.send(this.socket, this.sending, list);
    } else if (this.ended) {
      port.close(this.socket);
    }
  }
}

parentPort.postMessage(port.share());
const batch = createBatch(64);
for (let stopping = false; !stopping || port.stats.sockets > 0; ) {
  const count = port.dequeue(batch, -1);
  for (const packet of batch.slice(0, count)) {
    if (packet.operation === Operation.Post && packet.key === 0) stopping = true;
    else if (packet.operation === Operation.Post) new Echo(port.adopt(packet.key));
    else if (packet.operation === Operation.Receive) packet.key.received(packet);
    else if (packet.operation === Operation.Send) packet.key.sent();
  }
}
port.destroy();
