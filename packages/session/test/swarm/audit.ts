// Watches a port: whatever goes wrong, each operation that was started gets its one last packet, and a Close packet is the last of
// its socket. So what the swarm finds is not the simulation's doing.

import assert from 'node:assert';
import {
  type CompletionPacket,
  type CompletionPort,
  Operation,
  type Overlapped,
  type PortSocket,
} from '@overlapped/iocp-native';
import { onPacket, replace } from './tamper.js';

interface Started {
  readonly operation: Operation;
  readonly socket: PortSocket;
}

export function audit(port: CompletionPort): void {
  const inFlight = new Map<Overlapped, Started>();
  const shut = new Set<PortSocket>();
  const closed = new WeakSet<PortSocket>();
  const start = (operation: Operation, socket: PortSocket, event: Overlapped) => {
    assert(event.pending, 'an event is pending from its start on');
    inFlight.set(event, { operation, socket });
  };
  replace(port, 'accept', (accept) => (listener, event) => {
    accept(listener, event);
    start(Operation.Accept, listener, event);
  });
  replace(port, 'connect', (connect) => (event, ...rest) => {
    const socket = connect(event, ...rest);
    start(Operation.Connect, socket, event);
    return socket;
  });
  replace(port, 'receive', (receive) => (socket, event) => {
    receive(socket, event);
    start(Operation.Receive, socket, event);
  });
  replace(port, 'send', (send) => (socket, event, pieces) => {
    send(socket, event, pieces);
    start(Operation.Send, socket, event);
  });
  replace(port, 'sendDirect', (send) => (socket, event, pieces, bytes) => {
    const taken = send(socket, event, pieces, bytes);
    start(Operation.Send, socket, event);
    return taken;
  });
  replace(port, 'shutdown', (shutdown) => (socket) => {
    shutdown(socket);
    shut.add(socket);
  });

  const ended = ({ operation, event, socket, data }: CompletionPacket) => {
    if (event === null) {
      assert.strictEqual(operation, Operation.Accept, 'only an accept that nobody started has no event');
      return;
    }
    const started = inFlight.get(event);
    assert(started !== undefined && started.operation === operation, 'a packet of nothing that was started');
    assert(operation === Operation.Accept || socket === started.socket, "a packet names its operation's socket");
    assert(!closed.has(started.socket), 'a packet after the Close packet');
    if (data !== null) return;
    assert(!event.pending, 'an event is pending until its last packet has been dequeued');
    inFlight.delete(event);
  };
  onPacket(port, (packet) => {
    const socket = packet.socket!;
    if (packet.operation === Operation.Close) {
      assert(![...inFlight.values()].some((started) => started.socket === socket), 'a close with operations in flight');
      assert(!closed.has(socket) && !shut.has(socket), 'a Close packet is the last of its socket');
      closed.add(socket);
    } else if (packet.operation === Operation.Shutdown) {
      assert(shut.delete(socket), 'a Shutdown packet for each shutdown()');
    } else if (packet.operation !== Operation.Post) {
      ended(packet);
    }
  });
}
