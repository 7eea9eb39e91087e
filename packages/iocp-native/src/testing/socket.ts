// A connection of a simulated port. Each operation takes its own time: it starts a little late, works as the network allows, and
// completes later, so that packets of different operations come in any order that a kernel may give.

import { endpointText, isPipe } from '../contract/endpoint.js';
import { countOf, totalOf } from '../contract/gather-list.js';
import { type Endpoint, type GatherList, Operation, type Overlapped, type PipeEndpoint } from '../contract/port.js';
import { pieceOf } from '../port/receive-buffers.js';
import { Kind } from '../port/socket.js';
import { notConnected } from '../portable/errors.js';
import type { End, EndOwner } from './connection.js';
import type { SimulatedDriver } from './driver.js';
import { failure, lacks } from './errors.js';
import { SimulatedHandle } from './handle.js';

export class SimulatedSocket extends SimulatedHandle implements EndOwner {
  #end: End | null = null;
  /** The action of connect(), for its error. */
  #action = 'connect';
  // Each is true from the start of the operation until its end is known, and its last packet is queued or on its way.
  #isConnecting = false;
  #isReceiving = false;
  #isSending = false;
  #isShuttingDown = false;
  /** Receive streams that were started. An event may serve several. */
  #streams = 0;
  /** The receive stream has reached the kernel. */
  #streaming = false;
  /** The bytes left to send. They are read when the window has room for them, and belong to the kernel until then. */
  #pieces: Buffer[] = [];
  #sendingBytes = 0;

  /** @param end the connection; null when connect() follows. */
  constructor(driver: SimulatedDriver, end: End | null) {
    super(driver, Kind.Connection);
    if (end !== null) this.#attach(end);
  }

  override connect(_event: Overlapped, remote: Endpoint | PipeEndpoint): void {
    const { network, world } = this.driver;
    this.#action = `connect to ${endpointText(remote)}`;
    if (isPipe(remote)) throw lacks(this.#action, 'connect');
    this.#isConnecting = true;
    if (world.random.chance(world.faults.exhaustion)) {
      this.#endConnect(world.random.pick(['EMFILE', 'ENOBUFS']));
      return;
    }
    world.after(world.faults.submission, () => {
      network.dial(remote, (result) => {
        if (!this.#isConnecting) {
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

  override receive(): void {
    const { world } = this.driver;
    const stream = ++this.#streams;
    this.#isReceiving = true;
    this.#streaming = false;
    world.after(world.faults.submission, () => {
      if (!this.#runs(stream)) return;
      this.#streaming = true;
      if (world.random.chance(world.faults.exhaustion)) this.#endReceive('ENOBUFS');
      else this.deliver();
    });
  }

  /** Makes packets of the bytes that have come, as far as there are receive buffers, and ends the stream when it is over. */
  override deliver(): void {
    const { driver, port } = this;
    const end = this.#end;
    if (!this.#isReceiving || !this.#streaming || end === null) return;
    const { buffers } = port;
    while (end.unread > 0) {
      const buffer = driver.takeBuffer(this);
      if (buffer === -1) return;
      const length = end.read(buffers.slot(buffer), 0, buffers.size);
      const packet = port.queuePacket(Operation.Receive, this, this.receiving, null, null);
      packet.bytes = length;
      packet.buffer = buffer;
      packet.data = buffers.take(buffer, length);
    }
    if (end.broken !== null) this.#endReceive(end.broken);
    else if (end.finished) this.#endReceive(null);
  }

  override send(event: Overlapped, pieces: GatherList): void {
    const { world } = this.driver;
    this.#isSending = true;
    this.#sendingBytes = totalOf(pieces);
    this.#pieces = Array.from({ length: countOf(pieces) }, (_, i) => pieceOf(this.port.buffers, pieces, i));
    world.after(world.faults.submission, () => {
      if (!this.#isSending || this.sending !== event) return;
      if (world.random.chance(world.faults.exhaustion)) this.#endSend('ENOBUFS');
      else this.onWritable();
    });
  }

  sendDirect(_event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number {
    const end = this.#end;
    this.#isSending = true;
    this.#sendingBytes = totalOf(pieces);
    this.#pieces = Array.from({ length: countOf(pieces) }, (_, i) => pieceOf(this.port.buffers, pieces, i));
    if (end === null || end.broken !== null) {
      this.#endSend(this.driver.world.random.pick(['EPIPE', 'ECONNRESET']));
      return 0;
    }
    if (!this.#writePieces(end)) return 0;
    let taken = 0;
    for (const bytes of arrays) {
      const written = end.write(bytes);
      taken += written;
      this.#sendingBytes += written;
      // It ends when there is room: see onWritable().
      if (written < bytes.length) return taken;
    }
    this.#endSend(null);
    return taken;
  }

  sendNow(array: Uint8Array): number {
    const end = this.#end;
    if (end !== null && end.broken === null) return end.write(array);
    throw failure('send', this.driver.world.random.pick(['EPIPE', 'ECONNRESET']), 'send');
  }

  override sendFile(event: Overlapped): void {
    this.port.queue(Operation.Send, this, event, lacks('send a file', 'sendFile'));
  }

  override shutdown(): void {
    const { world } = this.driver;
    this.#isShuttingDown = true;
    world.after(world.faults.submission, () => {
      if (!this.#isShuttingDown) return;
      this.#end?.shutdown();
      this.#endShutdown(this.#end === null || this.#end.broken !== null ? 'ENOTCONN' : null);
    });
  }

  override cancel(event: Overlapped): void {
    const { world } = this.driver;
    const late = () => world.random.chance(world.faults.lateCancel);
    if (event === this.receiving) {
      if (this.#isReceiving) this.#cancelReceive();
    } else if (event === this.sending) {
      if (this.#isSending && !late()) this.#endSend('ECANCELED');
    } else if (event === this.connecting) {
      if (this.#isConnecting && !late()) this.#endConnect('ECANCELED');
    }
  }

  override cancelAll(): void {
    const { random, faults } = this.driver.world;
    if (this.#isReceiving) {
      // A stream that was about to bring something may still do so.
      if (random.chance(faults.lateCancel)) this.#cancelReceive();
      else this.#endReceive('ECANCELED');
    }
    if (this.#isSending) {
      this.cutShort();
      this.#endSend('ECANCELED');
    }
    if (this.#isConnecting) this.#endConnect('ECANCELED');
    if (this.#isShuttingDown) this.#endShutdown('ECANCELED');
  }

  override endAll(): void {
    if (this.#isReceiving) this.#endReceive('ECANCELED');
  }

  override release(reset: boolean): void {
    this.#end?.close(reset);
  }

  onReadable(): void {
    this.deliver();
  }

  /** Hands the network as much as it takes. */
  onWritable(): void {
    const end = this.#end;
    if (!this.#isSending || end === null) return;
    if (end.broken !== null) {
      this.#endSend(this.driver.world.random.pick(['EPIPE', 'ECONNRESET']));
      return;
    }
    if (this.#writePieces(end)) this.#endSend(null);
  }

  onBroken(): void {
    this.deliver();
    this.onWritable();
  }

  override localEndpoint(): Endpoint {
    this.assertOpen('get the local endpoint', 'getsockname');
    if (this.#end === null) throw notConnected('get the local endpoint', 'getsockname');
    return this.#end.local;
  }

  override remoteEndpoint(): Endpoint {
    this.assertOpen('get the remote endpoint', 'getpeername');
    if (this.#end === null) throw notConnected('get the remote endpoint', 'getpeername');
    return this.#end.remote;
  }

  #attach(end: End): void {
    this.#end = end;
    end.owner = this;
  }

  /** False if there is no room for all of them. */
  #writePieces(end: End): boolean {
    for (let piece = this.#pieces[0]; piece !== undefined; piece = this.#pieces[0]) {
      const written = end.write(piece);
      if (written < piece.length) {
        this.#pieces[0] = piece.subarray(written);
        return false;
      }
      this.#pieces.shift();
    }
    return true;
  }

  #runs(stream: number): boolean {
    return this.#isReceiving && this.#streams === stream;
  }

  /** Until the cancel takes effect more may come, and the stream may end by itself. */
  #cancelReceive(): void {
    const { world } = this.driver;
    const stream = this.#streams;
    this.driver.forget(this);
    world.after(world.faults.completion, () => {
      if (this.#runs(stream)) this.#endReceive('ECANCELED');
    });
  }

  // The end of an operation is known: its packet is on its way, and nothing changes it any more.

  #endConnect(code: string | null): void {
    this.#isConnecting = false;
    this.#packet(Operation.Connect, this.connecting, this.#action, code, 'connect', 0);
  }

  /** The packets of a stream have an order, so its end does not wait. */
  #endReceive(code: string | null): void {
    this.#isReceiving = false;
    this.driver.forget(this);
    const error = code === null ? null : failure('receive', code, 'recv');
    this.port.queue(Operation.Receive, this, this.receiving, error);
  }

  #endSend(code: string | null): void {
    this.#isSending = false;
    this.#pieces = [];
    this.#packet(Operation.Send, this.sending, 'send', code, 'send', this.#sendingBytes);
  }

  #endShutdown(code: string | null): void {
    this.#isShuttingDown = false;
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
    this.complete(() => {
      const error = code === null ? null : failure(action, code, syscall);
      this.port.queue(operation, this, event, error).bytes = error === null ? bytes : 0;
    });
  }
}
