// A connection of a simulated port. Each operation has its own way to its packet: it starts a little late, works as the network
// allows, and its completion takes its time, so that packets of different operations come in any order that a kernel may give.

import assert from 'node:assert';
import { endpointText } from '../contract/endpoint.js';
import { countOf, totalOf } from '../contract/gather-list.js';
import { type Endpoint, type GatherList, Operation, type Overlapped } from '../contract/port.js';
import { pieceOf } from '../port/receive-buffers.js';
import { notConnected } from '../portable/errors.js';
import type { End, EndOwner } from './connection.js';
import { failure } from './errors.js';
import { type Host, SimulatedHandle } from './handle.js';

export class SimulatedSocket extends SimulatedHandle implements EndOwner {
  #end: End | null = null;
  /** What a connect wants, for its error. */
  #action = 'connect';
  #connecting: Overlapped | null = null;
  /** The last packet of a receive stream, or of a send, has not been dequeued. */
  #owesReceive = false;
  #owesSend = false;
  #receiving: Overlapped | null = null;
  /** Receive streams that were started: an event may serve several. */
  #streams = 0;
  /** The kernel knows of the receive stream. */
  #streaming = false;
  #sending: Overlapped | null = null;
  /** What is left to send. The bytes are read when there is room for them, and belong to the kernel until then. */
  #pieces: Buffer[] = [];
  #sendingBytes = 0;
  /** A Shutdown packet is owed. */
  #shuttingDown = false;
  #isShut = false;

  /** @param end the connection, unless there is to be one by connect(). */
  constructor(host: Host, end: End | null) {
    super(host);
    if (end !== null) this.#attach(end);
  }

  connect(event: Overlapped, remote: Endpoint): void {
    const { host } = this;
    const { random, faults } = host.world;
    this.#action = `connect to ${endpointText(remote)}`;
    host.start(this, event);
    this.#connecting = event;
    if (random.chance(faults.exhaustion)) {
      this.#endConnect(random.pick(['EMFILE', 'ENOBUFS']));
      return;
    }
    host.world.after(faults.submission, () => {
      host.network.dial(remote, (result) => {
        if (this.#connecting !== event) {
          if (typeof result !== 'string') result.close(true);
        } else if (typeof result === 'string') {
          this.#endConnect(result);
        } else {
          this.#attach(result);
          this.#endConnect(null);
        }
      });
    });
  }

  receive(event: Overlapped): void {
    assert(!this.#owesReceive, 'a receive stream is already in flight');
    const { host } = this;
    const { random, faults } = host.world;
    host.start(this, event);
    this.#owesReceive = true;
    this.#streams++;
    this.#receiving = event;
    this.#streaming = false;
    host.world.after(faults.submission, () => {
      if (this.#receiving !== event) return;
      this.#streaming = true;
      if (random.chance(faults.exhaustion)) this.#endReceive('ENOBUFS');
      else this.deliver();
    });
  }

  /** Makes packets of what has come, as far as there are receive buffers, and ends the stream when it is over. */
  deliver(): void {
    const { host } = this;
    const end = this.#end;
    if (this.#receiving === null || !this.#streaming || end === null) return;
    const { buffers } = host;
    while (end.unread > 0) {
      const slot = host.takeSlot(this);
      if (slot === -1) return;
      const length = end.read(buffers.slot(slot), 0, buffers.size);
      const packet = host.queue(Operation.Receive, this, this.#receiving, null, false);
      packet.bytes = length;
      packet.buffer = slot;
      packet.data = buffers.take(slot, length);
    }
    if (end.broken !== null) this.#endReceive(end.broken);
    else if (end.finished) this.#endReceive(null);
  }

  send(event: Overlapped, pieces: GatherList): void {
    assert(!this.#owesSend, 'a send is already in flight');
    assert(!this.#isShut, 'a send after shutdown()');
    const { host } = this;
    const { random, faults } = host.world;
    host.start(this, event);
    this.#owesSend = true;
    this.#sending = event;
    this.#sendingBytes = totalOf(pieces);
    this.#pieces = Array.from({ length: countOf(pieces) }, (_, i) => pieceOf(host.buffers, pieces, i));
    host.world.after(faults.submission, () => {
      if (this.#sending !== event) return;
      if (random.chance(faults.exhaustion)) this.#endSend('ENOBUFS');
      else this.onWritable();
    });
  }

  shutdown(): void {
    assert(!this.#owesSend, 'shutdown() while a send is in flight');
    assert(!this.#isShut, 'shutdown() twice');
    const { host } = this;
    host.start(this, null);
    this.#isShut = true;
    this.#shuttingDown = true;
    host.world.after(host.world.faults.submission, () => {
      if (!this.#shuttingDown) return;
      this.#end?.shutdown();
      this.#endShutdown(this.#end === null || this.#end.broken !== null ? 'ENOTCONN' : null);
    });
  }

  override cancel(event: Overlapped): void {
    const { random, faults } = this.host.world;
    if (event === this.#receiving) {
      this.host.forget(this);
      // Until then more may come, and the stream may end by itself.
      const stream = this.#streams;
      this.host.world.after(faults.completion, () => {
        if (this.#receiving !== null && this.#streams === stream) this.#endReceive('ECANCELED');
      });
    } else if (event === this.#sending) {
      if (!random.chance(faults.lateCancel)) this.#endSend('ECANCELED');
    } else if (event === this.#connecting) {
      if (!random.chance(faults.lateCancel)) this.#endConnect('ECANCELED');
    }
  }

  override finished(operation: Operation): void {
    if (operation === Operation.Receive) this.#owesReceive = false;
    else if (operation === Operation.Send) this.#owesSend = false;
    super.finished(operation);
  }

  override cancelAll(): void {
    const { random, faults } = this.host.world;
    // A stream that was about to bring something may still do so.
    if (this.#receiving !== null && random.chance(faults.lateCancel)) this.cancel(this.#receiving);
    else if (this.#receiving !== null) this.#endReceive('ECANCELED');
    this.host.forget(this);
    if (this.#sending !== null) {
      this.cutShort();
      this.#endSend('ECANCELED');
    }
    if (this.#connecting !== null) this.#endConnect('ECANCELED');
    if (this.#shuttingDown) this.#endShutdown('ECANCELED');
  }

  override release(reset: boolean): void {
    this.host.forget(this);
    this.#receiving = null;
    this.#sending = null;
    this.#connecting = null;
    this.#shuttingDown = false;
    this.#end?.close(reset);
  }

  onReadable(): void {
    this.deliver();
  }

  /** Hands the network as much as it takes. */
  onWritable(): void {
    const end = this.#end;
    if (this.#sending === null || end === null) return;
    if (end.broken !== null) {
      this.#endSend(this.host.world.random.pick(['EPIPE', 'ECONNRESET']));
      return;
    }
    for (let piece = this.#pieces[0]; piece !== undefined; piece = this.#pieces[0]) {
      const written = end.write(piece);
      if (written < piece.length) {
        this.#pieces[0] = piece.subarray(written);
        return;
      }
      this.#pieces.shift();
    }
    this.#endSend(null);
  }

  onBroken(): void {
    this.deliver();
    this.onWritable();
  }

  override localEndpoint(): Endpoint {
    this.checkOpen('get the local endpoint', 'getsockname');
    if (this.#end === null) throw notConnected('get the local endpoint', 'getsockname');
    return this.#end.local;
  }

  override remoteEndpoint(): Endpoint {
    this.checkOpen('get the remote endpoint', 'getpeername');
    if (this.#end === null) throw notConnected('get the remote endpoint', 'getpeername');
    return this.#end.remote;
  }

  #attach(end: End): void {
    this.#end = end;
    end.owner = this;
  }

  // The ends of operations: what follows is the way to the packet, and nothing takes it back.

  #endConnect(code: string | null): void {
    const event = this.#connecting;
    this.#connecting = null;
    this.#packet(Operation.Connect, event, this.#action, code, 'connect', 0);
  }

  /** What a stream brings has an order, so its end waits for nothing. */
  #endReceive(code: string | null): void {
    const event = this.#receiving;
    this.#receiving = null;
    this.host.forget(this);
    const error = code === null ? null : failure('receive', code, 'recv');
    this.host.queue(Operation.Receive, this, event, error);
  }

  #endSend(code: string | null): void {
    const event = this.#sending;
    this.#sending = null;
    this.#pieces = [];
    this.#packet(Operation.Send, event, 'send', code, 'send', this.#sendingBytes);
  }

  #endShutdown(code: string | null): void {
    this.#shuttingDown = false;
    this.#packet(Operation.Shutdown, null, 'shut the socket down', code, 'shutdown', 0);
  }

  #packet(
    operation: Operation,
    event: Overlapped | null,
    action: string,
    code: string | null,
    syscall: string,
    bytes: number,
  ): void {
    this.host.complete(this.host.world.faults.completion, this, () => {
      const error = code === null ? null : failure(action, code, syscall);
      this.host.queue(operation, this, event, error).bytes = error === null ? bytes : 0;
    });
  }
}
