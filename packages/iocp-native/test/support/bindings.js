// A worker thread of a program's own: it opens a port, watches it, uses streams, datagrams and posts, and tells which functions koffi
// bound since the port was open.
//
// workerData: library, backend.

import { once } from 'node:events';
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { createBatch, EVENT_SIZE, endpoint, GatherList, openPort, openPoster, Operation } = await import(
  workerData.library
);
const { koffi } = await import(new URL('./internal.js', workerData.library));
const port = openPort({ backend: workerData.backend });

const bound = [];
const { load, proto } = koffi();
koffi().load = (...file) => {
  const library = load(...file);
  return {
    func(...declaration) {
      bound.push(declaration.join(' '));
      return library.func(...declaration);
    },
  };
};
koffi().proto = (...declaration) => {
  bound.push(declaration.join(' '));
  return proto(...declaration);
};

const events = port.allocate(64 * EVENT_SIZE);
let used = 0;
const event = () => ({ block: events, offset: used * EVENT_SIZE, tag: used++, pending: false });
const hello = port.allocate(64);
const list = new GatherList();
list.add(hello, 0, hello.bytes.write('hello'));
const batch = createBatch(16);

/** Serves the port until it brings such a packet, in the event loop. */
function until(operation) {
  return new Promise((resolve) => {
    port.watch(function serve() {
      let found;
      for (let count = port.dequeue(batch, 0); count > 0; count = port.dequeue(batch, 0)) {
        for (const packet of batch.slice(0, count)) {
          if (packet.buffer >= 0) port.release(packet.buffer);
          if (packet.operation === operation) found = { socket: packet.socket };
        }
      }
      if (found) resolve(found);
      else port.watch(serve);
    });
  });
}

const listener = await port.listen(endpoint('127.0.0.1', 0));
const local = listener.localEndpoint();
port.accept(listener, event());
port.connect(event(), local);
const { socket } = await until(Operation.Connect);
port.accept(listener, event());
const peer = connect(local.port, '127.0.0.1');
await once(peer, 'connect');
const { socket: accepted } = await until(Operation.Accept);
peer.on('error', () => {}).write('hello');
accepted.remoteEndpoint();
port.receive(accepted, event());
port.send(socket, event(), list);
await until(Operation.Send);
port.shutdown(socket);
port.close(socket);
await until(Operation.Close);
peer.destroy();

const datagrams = await port.bind(endpoint('127.0.0.1', 0));
port.receive(datagrams, event());
port.sendTo(datagrams, event(), list, datagrams.localEndpoint());
await until(Operation.Receive);
port.close(datagrams);
await until(Operation.Close);

openPoster(port.share()).post(7, 42);
await until(Operation.Post);
port.destroy();
parentPort.postMessage(bound);
