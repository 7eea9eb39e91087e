// Planted bugs: what a backend, or the layers between it and a session, could get wrong. Each is put on a core that is otherwise
// as shipped, and the swarm must find it.

import { type CompletionPacket, IocpError, Operation, type Overlapped, type PortSocket } from '@overlapped/iocp-native';
import type { Random } from '@overlapped/iocp-native/testing';
import type { Core } from '@overlapped/net-core/internal';
import { injector, onPacket, replace } from './tamper.js';

const canceled = new IocpError('receive', 'it was canceled', 'ECANCELED', 'recv');

export type Plant = (core: Core, random: Random) => void;

export const plants: Readonly<Record<string, Plant>> = {
  'a double release of an event'(core, random) {
    replace(core.events, 'release', (release) => (event) => {
      release(event);
      if (random.chance(0.02)) release(event);
    });
  },

  'a receive buffer that goes back while a send reads it'({ port }) {
    // Kept by nobody, so what releases it for the send must not.
    const lent = new Set<number>();
    const gone = new Set<number>();
    replace(port, 'retain', (retain) => (buffer) => {
      if (!lent.has(buffer) && !gone.has(buffer)) lent.add(buffer);
      else retain(buffer);
    });
    replace(port, 'release', (release) => (buffer) => {
      if (gone.delete(buffer)) return;
      if (lent.delete(buffer)) gone.add(buffer);
      release(buffer);
    });
  },

  'a receive buffer that never comes back'({ port }, random) {
    replace(port, 'release', (release) => (buffer) => {
      if (!random.chance(0.02)) release(buffer);
    });
  },

  'a stream that is not armed again'({ port }, random) {
    const queued = injector(port);
    const deaf = new Map<PortSocket, Overlapped>();
    const armed = new WeakSet<PortSocket>();
    replace(port, 'receive', (receive) => (socket, event) => {
      if (!armed.has(socket) || random.chance(0.5)) {
        armed.add(socket);
        receive(socket, event);
      } else {
        deaf.set(socket, event);
        event.pending = true;
      }
    });
    // Whoever asks for the end of the stream gets it.
    const end = (socket: PortSocket) => {
      const event = deaf.get(socket);
      if (!deaf.delete(socket)) return;
      queued.push((packet) => {
        event!.pending = false;
        Object.assign(packet, { operation: Operation.Receive, key: socket.key, event, socket, error: canceled });
      });
      port.post(null, 0);
    };
    replace(port, 'cancel', (cancel) => (socket, event) => {
      end(socket);
      cancel(socket, event);
    });
    replace(port, 'close', (close) => (socket, reset) => {
      end(socket);
      close(socket, reset);
    });
  },

  'a missing check of generations'({ port }, random) {
    const queued = injector(port);
    let late: CompletionPacket[] = [];
    onPacket(port, (packet) => {
      if (packet.operation === Operation.Send && random.chance(0.2)) late.push({ ...packet });
    });
    // A completion that comes once more reaches whoever its slot serves by then. By offset: in debug mode each use of a slot has
    // an event of its own.
    const reach = (socket: PortSocket, event: Overlapped) => {
      const old = late.filter((packet) => packet.event!.offset === event.offset);
      for (const packet of old.filter((sent) => sent.socket !== socket)) {
        queued.push((into) => Object.assign(into, packet, { event }));
        port.post(null, 0);
      }
      late = late.filter((packet) => !old.includes(packet));
    };
    replace(port, 'send', (send) => (socket, event, pieces) => {
      send(socket, event, pieces);
      reach(socket, event);
    });
    replace(port, 'receive', (receive) => (socket, event) => {
      receive(socket, event);
      reach(socket, event);
    });
  },

  'a send that completes twice'({ port }, random) {
    const queued = injector(port);
    onPacket(port, (packet) => {
      if (packet.operation !== Operation.Send || !random.chance(0.05)) return;
      const again = { ...packet };
      queued.push((into) => Object.assign(into, again));
      port.post(null, 0);
    });
  },

  'a send that loses its last byte'({ port, sendBuffers }, random) {
    replace(port, 'send', (send) => (socket, event, pieces) => {
      send(socket, event, pieces);
      if (!random.chance(0.02)) return;
      // The next piece that is gathered, unless another core gathers it.
      pieces.add = (block, offset, length) => {
        Reflect.deleteProperty(pieces, 'add');
        const own = block === port.receiveBlock || block === sendBuffers.block;
        return pieces.add(block, offset, own ? length - 1 : length);
      };
    });
  },

  'a close that cancels nothing'({ port }) {
    const waiting = new Map<PortSocket, boolean>();
    replace(port, 'close', (close) => (socket, reset = false) => {
      if (socket.pending > 0) waiting.set(socket, reset);
      else close(socket, reset);
    });
    onPacket(port, () => {
      for (const [socket, reset] of waiting) {
        if (socket.pending > 0) continue;
        waiting.delete(socket);
        port.close(socket, reset);
      }
    });
  },

  'a lost wake-up'({ port }, random) {
    replace(port, 'watch', (watch) => (ready) => watch(random.chance(0.05) ? () => {} : ready));
  },

  'a flush that is forgotten'(core, random) {
    replace(core, 'flushSoon', (flushSoon) => (flushable) => {
      if (!random.chance(0.02)) flushSoon(flushable);
    });
  },

  'a send buffer that nobody is woken for'(core) {
    replace(core, 'awaitSendBuffer', () => () => {});
  },

  'a hand-off that forgets the connection'({ port }, random) {
    replace(port, 'adopt', (adopt) => (handle) => {
      if (random.chance(0.1)) throw new IocpError('adopt a connection', 'it was forgotten', 'EBADF', 'adopt');
      return adopt(handle);
    });
  },

  'a listener that dies of a failed accept'({ port }) {
    const dead = new WeakSet<Overlapped>();
    onPacket(port, ({ operation, event, error }) => {
      if (operation === Operation.Accept && error !== null) dead.add(event!);
    });
    replace(port, 'accept', (accept) => (listener, event) => {
      if (dead.has(event)) event.pending = false;
      else accept(listener, event);
    });
  },
};
