// One connection over a net.Socket. The net.Socket is paused except while a receive stream runs. Bytes that it has read by then
// waits in `#kept`, so that neither a pause nor a lack of buffers loses a byte.

import { createConnection, type Socket } from 'node:net';
import { checkPath, endpointText, isPipe, told } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import { countOf, totalOf } from '../contract/gather-list.js';
import { isOfNetwork, type SocketOptionName, type SocketOptionValue } from '../contract/options.js';
import {
  type Endpoint,
  type GatherList,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type SocketOptions,
} from '../contract/port.js';
import { LoopSocket } from '../port/loop-socket.js';
import { pieceOf } from '../port/receive-buffers.js';
import { Kind } from '../port/socket.js';
import { hasZone, hostOf } from './address.js';
import type { PortableDriver } from './driver.js';
import { canceled, fromNode, notConnected } from './errors.js';
import { FileSend } from './file-send.js';
import { nodeOptions, setOption } from './socket-options.js';

export class PortableSocket extends LoopSocket<PortableDriver> {
  /** Null until connect(). */
  #raw: Socket | null = null;
  #local: Endpoint | null = null;
  #remote: Endpoint | null = null;
  /** It is on a path. */
  #isLocal = false;
  /** The action of connect(), for its error. */
  #action = 'connect';
  // Each is true from the start of the operation until its last packet is queued.
  #isConnecting = false;
  #isReceiving = false;
  #isSending = false;
  #isShuttingDown = false;
  #sendingBytes = 0;
  /** The file that is being sent. */
  #file: FileSend | null = null;
  /** Bytes read that no packet has taken yet, oldest first. */
  #kept: Buffer[] = [];
  /** The peer's FIN has been read. It counts once #kept is empty. */
  #ended = false;
  /** Why the connection ended, for every operation from now on. It counts for receives once #kept is empty. */
  #failure: IocpError | null = null;
  /** There is no net.Socket, or it has emitted 'close', its last event. */
  #gone = true;

  /** @param raw a paused and connected socket with allowHalfOpen; null when connect() follows. */
  constructor(driver: PortableDriver, raw: Socket | null) {
    super(driver, Kind.Connection);
    if (raw === null) return;
    this.#attach(raw);
    this.#learnEndpoints(raw);
    this.#isLocal = this.#local === null;
  }

  override get gone(): boolean {
    return this.#gone;
  }

  override connect(_event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void {
    const action = `connect to ${endpointText(remote)}`;
    this.#action = action;
    this.#isLocal = isPipe(remote);
    try {
      const raw = dial(remote, options, action);
      this.#attach(raw);
      raw.on('connect', () => this.#onConnect(raw));
    } catch (cause) {
      this.#failure = fromNode(action, 'connect', cause as Error);
      throw this.#failure;
    }
    this.#isConnecting = true;
  }

  override receive(): void {
    this.#isReceiving = true;
    this.deliver();
  }

  /** Makes packets of the bytes that were read, as far as there are receive buffers, and ends the stream or reads on. */
  override deliver(): void {
    const raw = this.#raw;
    if (!this.#isReceiving) {
      raw?.pause();
      return;
    }
    const { driver, port } = this;
    const { buffers } = port;
    for (let chunk = this.#kept[0]; chunk !== undefined; chunk = this.#kept[0]) {
      const buffer = driver.takeBuffer(this);
      if (buffer === -1) {
        raw?.pause();
        return;
      }
      const length = chunk.copy(buffers.slot(buffer), 0, 0, buffers.size);
      if (length === chunk.length) this.#kept.shift();
      else this.#kept[0] = chunk.subarray(length);
      const packet = port.queuePacket(Operation.Receive, this, this.receiving, null, null);
      packet.bytes = length;
      packet.buffer = buffer;
      packet.data = buffers.take(buffer, length);
    }
    if (this.#ended) this.#endReceive(null);
    else if (this.#gone) this.#endReceive(this.#failure);
    else if (raw!.isPaused()) raw!.resume();
  }

  override send(event: Overlapped, pieces: GatherList): void {
    if (this.#gone || this.#failure || totalOf(pieces) === 0) {
      this.port.queue(Operation.Send, this, event, this.#broken());
      return;
    }
    this.#isSending = true;
    this.#sendingBytes = totalOf(pieces);
    const raw = this.#raw!;
    const last = countOf(pieces) - 1;
    raw.cork();
    for (let i = 0; i <= last; i++) {
      const bytes = pieceOf(this.port.buffers, pieces, i);
      if (i < last) raw.write(bytes);
      else raw.write(bytes, (error) => this.#sent(error));
    }
    raw.uncork();
  }

  override sendFile(event: Overlapped, file: number, offset: number, length: number): void {
    if (this.#gone || this.#failure) {
      this.port.queue(Operation.Send, this, event, this.#broken());
      return;
    }
    this.#isSending = true;
    const raw = this.#raw!;
    // When the connection ends in the middle of a send, 'close' ends the send, but not before the descriptor is free.
    const goesOn = (error?: Error | null) => !error && !raw.destroyed && this.#file === send;
    const send: FileSend = new FileSend(
      [file, offset, length],
      (bytes, done) => raw.write(bytes, (error) => goesOn(error) && done()),
      () => {
        if (this.#gone) this.#onClose();
        return goesOn();
      },
      (error) => this.#endSend(error, send.sent),
    );
    this.#file = send;
  }

  override shutdown(): void {
    if (this.#gone || this.#failure) {
      this.port.queue(Operation.Shutdown, this, null, this.#broken());
      return;
    }
    this.#isShuttingDown = true;
    const raw = this.#raw!;
    raw.end(() => {
      // This is called for an end that failed, too. 'close' gives the packet then.
      if (!raw.writableFinished || !this.#isShuttingDown || this.closing) return;
      this.#isShuttingDown = false;
      this.port.queue(Operation.Shutdown, this, null, null);
    });
  }

  /** A write cannot be canceled, so a send keeps its result. The send of a file ends with its next piece. */
  override cancel(event: Overlapped): void {
    if (event === this.receiving) {
      if (!this.#isReceiving) return;
      this.driver.forget(this);
      this.#raw?.pause();
      this.#endReceive(canceled('receive', 'read'));
    } else if (event === this.sending) {
      if (this.#file) this.#file.canceled = true;
    } else if (event === this.connecting && this.#isConnecting) {
      this.#failure ??= canceled(this.#action, 'connect');
      this.#raw!.destroy();
    }
  }

  override close(reset: boolean): void {
    const raw = this.#raw;
    this.#kept = [];
    if (raw === null || this.#gone) {
      if (!this.#file?.reading) this.#cancelAll();
      return;
    }
    // A close that cuts a send short is a reset: the peer must not take a part for the whole. A send that the kernel has taken is
    // sent, even if the callback of its write is still to come.
    const cut = this.#isSending && (this.#file !== null || raw.writableLength > 0);
    if (this.#isSending && !cut) this.#sent(null);
    // A local socket has no reset. And libuv refuses to reset a socket that is being shut down, and would then not close it.
    if ((reset || cut) && this.#local !== null && !this.shutDown && !raw.destroyed) raw.resetAndDestroy();
    else raw.destroy();
  }

  override abandon(): void {
    this.#cancelAll();
  }

  override localEndpoint(): Endpoint {
    this.assertOpen('get the local endpoint', 'getsockname');
    if (this.#local === null) throw notConnected('get the local endpoint', 'getsockname');
    return this.#local;
  }

  override remoteEndpoint(): Endpoint {
    this.assertOpen('get the remote endpoint', 'getpeername');
    if (this.#remote === null) throw notConnected('get the remote endpoint', 'getpeername');
    return this.#remote;
  }

  protected override applyOption(name: SocketOptionName, value: SocketOptionValue, action: string): void {
    if (this.#raw === null || (this.#isLocal && isOfNetwork(name))) return;
    setOption(this.#raw, name, value, action);
  }

  #attach(raw: Socket): void {
    this.#raw = raw;
    this.#gone = false;
    this.driver.opened();
    // Only watch() keeps the process alive, as with the other backends.
    raw.unref();
    raw.on('data', (chunk: Buffer) => {
      this.#kept.push(chunk);
      this.deliver();
    });
    raw.on('end', () => {
      this.#ended = true;
      this.deliver();
    });
    // 'close' follows, which ends the operations.
    raw.on('error', (cause) => {
      this.#failure ??= this.#isConnecting
        ? fromNode(this.#action, 'connect', cause)
        : fromNode('use the connection', 'read', cause);
    });
    raw.on('close', () => {
      this.#gone = true;
      this.#onClose();
      this.driver.released();
    });
  }

  #onConnect(raw: Socket): void {
    if (this.closing || !this.#isConnecting) return;
    this.#isConnecting = false;
    this.#learnEndpoints(raw);
    this.port.queue(Operation.Connect, this, this.connecting, null);
  }

  /** Keeps the addresses, because node:net forgets them as soon as the connection ends. */
  #learnEndpoints({ localAddress, localPort, remoteAddress, remotePort }: Socket): void {
    if (localAddress !== undefined) this.#local = told(localAddress, localPort!);
    if (remoteAddress !== undefined) this.#remote = told(remoteAddress, remotePort!);
  }

  #sent(error: Error | null | undefined): void {
    // 'close' ends a send that was cut short, when its memory is free. After destroy() this callback may report success for
    // such a send.
    if (error || this.#raw!.destroyed || !this.#isSending) return;
    this.#endSend(null, this.#sendingBytes);
  }

  #endSend(error: IocpError | null, bytes: number): void {
    this.#isSending = false;
    this.#file = null;
    this.port.queue(Operation.Send, this, this.sending, error).bytes = bytes;
  }

  #endReceive(error: IocpError | null): void {
    this.#isReceiving = false;
    this.port.queue(Operation.Receive, this, this.receiving, error);
  }

  #broken(): IocpError | null {
    if (this.#failure || !this.#gone) return this.#failure;
    return new IocpError('send', 'the connection was ended', 'EPIPE', 'write');
  }

  /** The net.Socket is closed, and so is the read of a file that was being sent. */
  #onClose(): void {
    if (this.#file?.reading) return;
    if (this.closing) {
      this.#cancelAll();
      this.port.proceed(this);
      return;
    }
    // close() was not called: the connection broke, a connect failed, or both directions have ended.
    if (!this.#ended) {
      this.#failure ??= new IocpError('use the connection', 'it was ended', 'ECONNABORTED', 'close');
    }
    this.#endWrites(this.#broken());
    if (this.#isReceiving) this.deliver();
  }

  #cancelAll(): void {
    this.#endWrites(canceled('finish the operation', 'close'));
    if (this.#isReceiving) this.#endReceive(canceled('receive', 'read'));
  }

  #endWrites(error: IocpError | null): void {
    if (this.#isConnecting) this.port.queue(Operation.Connect, this, this.connecting, error);
    this.#isConnecting = false;
    if (this.#isSending) this.#endSend(error, this.#file?.sent ?? 0);
    if (this.#isShuttingDown) this.port.queue(Operation.Shutdown, this, null, error);
    this.#isShuttingDown = false;
  }
}

/** A paused socket that connects. Throws the errors of node:net, and IocpErrors. */
function dial(remote: Endpoint | PipeEndpoint, options: SocketOptions, action: string): Socket {
  const more = { allowHalfOpen: true, ...nodeOptions(options, isPipe(remote), action) };
  if (isPipe(remote)) {
    checkPath(remote, action);
    return createConnection({ path: remote.path, ...more }).pause();
  }
  // From Node 24 on libuv takes any zone, and the connect would wait for an answer that cannot come.
  if (!hasZone(remote)) throw new IocpError(action, 'this machine has no such zone', 'EINVAL', 'connect');
  return createConnection({ host: hostOf(remote), port: remote.port, ...more }).pause();
}
