// One connection over a net.Socket. The socket stays paused but for while a receive stream runs, and what it has read
// by then waits in `#kept`, so that neither a pause nor a lack of buffers loses a byte.

import assert from 'node:assert';
import type { Socket } from 'node:net';
import { endpointText, told } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import { countOf, totalOf } from '../contract/gather-list.js';
import {
  type Endpoint,
  type GatherList,
  type KeepAlive,
  Operation,
  type Overlapped,
  type PipeEndpoint,
} from '../contract/port.js';
import { pieceOf } from '../port/receive-buffers.js';
import { canceled, closed, fromNode, hasNoOption, notConnected } from './errors.js';
import { FileSend } from './file-send.js';
import { type Host, PortableHandle } from './handle.js';

export class PortableSocket extends PortableHandle {
  readonly #raw: Socket;
  #local: Endpoint | null = null;
  #remote: Endpoint | null = null;
  /** What a connect wants, for its error. */
  #action = 'connect';
  #connecting: Overlapped | null = null;
  #receiving: Overlapped | null = null;
  #sending: Overlapped | null = null;
  #sendingBytes = 0;
  /** The file that `#sending` sends, if it does. */
  #file: FileSend | null = null;
  /** A Shutdown packet is owed. */
  #shuttingDown = false;
  /** shutdown() was called, once and for all. */
  #isShut = false;
  /** Bytes read that no packet has taken yet, oldest first. */
  #kept: Buffer[] = [];
  /** The peer's FIN has been read; it counts once #kept is empty. */
  #ended = false;
  /** Why the connection ended, for every operation from now on. It counts for receives once #kept is empty. */
  #failure: IocpError | null = null;
  /** The net.Socket has emitted 'close', its last event: no memory of ours is in use. */
  #gone = false;
  #abandoned = false;

  /** @param raw a paused socket, connected or connecting, with allowHalfOpen. */
  constructor(host: Host, raw: Socket) {
    super(host);
    this.#raw = raw;
    host.opened(this);
    // What keeps the process alive is watch(), as with the other backends.
    raw.unref();
    raw.on('data', (chunk: Buffer) => {
      this.#kept.push(chunk);
      this.deliver();
    });
    raw.on('end', () => {
      this.#ended = true;
      this.deliver();
    });
    // 'close' follows, and tells the operations.
    raw.on('error', (cause) => {
      this.#failure ??= this.#connecting
        ? fromNode(this.#action, 'connect', cause)
        : fromNode('use the connection', 'read', cause);
    });
    raw.on('close', () => this.#onClose());
    if (!raw.connecting) this.#learnEndpoints();
  }

  connect(event: Overlapped, remote: Endpoint | PipeEndpoint): void {
    this.#action = `connect to ${endpointText(remote)}`;
    this.host.start(this, event);
    this.#connecting = event;
    this.#raw.on('connect', () => {
      if (this.closing || this.#connecting === null) return;
      this.#connecting = null;
      this.#learnEndpoints();
      this.host.queue(Operation.Connect, this, event, null);
    });
  }

  receive(event: Overlapped): void {
    assert(this.#receiving === null, 'a receive stream is already in flight');
    this.host.start(this, event);
    this.#receiving = event;
    this.deliver();
  }

  /** Makes packets of what was read, as far as there are receive buffers, and ends the stream or reads on. */
  deliver(): void {
    const event = this.#receiving;
    if (event === null) {
      this.#raw.pause();
      return;
    }
    const { host } = this;
    const { buffers } = host;
    for (let chunk = this.#kept[0]; chunk !== undefined; chunk = this.#kept[0]) {
      const slot = host.takeSlot(this);
      if (slot === -1) {
        this.#raw.pause();
        return;
      }
      const length = chunk.copy(buffers.slot(slot), 0, 0, buffers.size);
      if (length === chunk.length) this.#kept.shift();
      else this.#kept[0] = chunk.subarray(length);
      const packet = host.queue(Operation.Receive, this, event, null, false);
      packet.bytes = length;
      packet.buffer = slot;
      packet.data = buffers.take(slot, length);
    }
    if (this.#ended) this.#endReceive(null);
    else if (this.#gone) this.#endReceive(this.#failure);
    else if (this.#raw.isPaused()) this.#raw.resume();
  }

  send(event: Overlapped, pieces: GatherList): void {
    assert(this.#sending === null, 'a send is already in flight');
    assert(!this.#isShut, 'a send after shutdown()');
    this.host.start(this, event);
    if (this.#gone || this.#failure || totalOf(pieces) === 0) {
      this.host.queue(Operation.Send, this, event, this.#broken());
      return;
    }
    this.#sending = event;
    this.#sendingBytes = totalOf(pieces);
    const raw = this.#raw;
    const last = countOf(pieces) - 1;
    raw.cork();
    for (let i = 0; i <= last; i++) {
      const bytes = pieceOf(this.host.buffers, pieces, i);
      if (i < last) raw.write(bytes);
      else raw.write(bytes, (error) => this.#sent(event, error));
    }
    raw.uncork();
  }

  sendFile(event: Overlapped, file: number, offset: number, length: number): void {
    assert(this.#sending === null, 'a send is already in flight');
    assert(!this.#isShut, 'a send after shutdown()');
    this.host.start(this, event);
    if (this.#gone || this.#failure) {
      this.host.queue(Operation.Send, this, event, this.#broken());
      return;
    }
    this.#sending = event;
    const raw = this.#raw;
    // Whatever the socket's own end cuts short, 'close' tells; but not before the descriptor is free.
    const lives = (error?: Error | null) => !error && !raw.destroyed && this.#sending === event;
    const send: FileSend = new FileSend(
      [file, offset, length],
      (bytes, done) => raw.write(bytes, (error) => lives(error) && done()),
      () => {
        if (this.#gone) this.#onClose();
        return lives();
      },
      (error) => {
        this.#sending = null;
        this.#file = null;
        this.host.queue(Operation.Send, this, event, error).bytes = send.sent;
      },
    );
    this.#file = send;
  }

  shutdown(): void {
    assert(this.#sending === null, 'shutdown() while a send is in flight');
    assert(!this.#isShut, 'shutdown() twice');
    this.host.start(this, null);
    this.#isShut = true;
    if (this.#gone || this.#failure) {
      this.host.queue(Operation.Shutdown, this, null, this.#broken());
      return;
    }
    this.#shuttingDown = true;
    this.#raw.end(() => {
      // An end that failed also arrives here; 'close' tells it.
      if (!this.#raw.writableFinished || !this.#shuttingDown || this.closing) return;
      this.#shuttingDown = false;
      this.host.queue(Operation.Shutdown, this, null, null);
    });
  }

  /** A write cannot be recalled, so a send keeps its result; one of a file ends with its next piece. */
  override cancel(event: Overlapped): void {
    if (event === this.#receiving) {
      this.host.forget(this);
      this.#raw.pause();
      this.#endReceive(canceled('receive', 'read'));
    } else if (event === this.#sending) {
      if (this.#file) this.#file.canceled = true;
    } else if (event === this.#connecting) {
      this.#failure ??= canceled(this.#action, 'connect');
      this.#raw.destroy();
    }
  }

  override close(reset: boolean): void {
    this.closing = true;
    this.host.forget(this);
    this.host.start(this, null);
    this.#kept = [];
    // A close that cuts a send short is a reset: no peer may take what is left for the whole. What the kernel has taken is
    // sent, also when the callback of its write is still to come.
    const cut = this.#sending !== null && (this.#file !== null || this.#raw.writableLength > 0);
    if (this.#sending !== null && !cut) this.#sent(this.#sending, null);
    if (this.#gone) {
      if (!this.#file?.reading) this.#finish();
    } else if ((reset || cut) && this.#local !== null && !this.#isShut && !this.#raw.destroyed) {
      this.#raw.resetAndDestroy();
    } else {
      // A local socket knows no reset. And libuv refuses to reset what is being shut down, and would then not close it.
      this.#raw.destroy();
    }
  }

  override abandon(): void {
    this.#abandoned = true;
    this.#receiving = null;
    this.#kept = [];
    if (this.#gone && !this.#file?.reading) this.host.gone(this);
    else this.#raw.destroy();
  }

  override localEndpoint(): Endpoint {
    if (this.closing) throw closed('get the local endpoint', 'socket', 'getsockname');
    if (this.#local === null) throw notConnected('get the local endpoint', 'getsockname');
    return this.#local;
  }

  override remoteEndpoint(): Endpoint {
    if (this.closing) throw closed('get the remote endpoint', 'socket', 'getpeername');
    if (this.#remote === null) throw notConnected('get the remote endpoint', 'getpeername');
    return this.#remote;
  }

  override setNoDelay(on: boolean): void {
    if (this.closing) throw closed('set TCP_NODELAY', 'socket', 'setsockopt');
    this.#raw.setNoDelay(on);
  }

  override setKeepAlive(keepAlive: number | KeepAlive): void {
    if (this.closing) throw closed('set SO_KEEPALIVE', 'socket', 'setsockopt');
    const seconds = idleSeconds(keepAlive, 'set SO_KEEPALIVE');
    this.#raw.setKeepAlive(seconds > 0, seconds * 1000);
  }

  // Kept, because node:net forgets them as soon as the connection ends.
  #learnEndpoints(): void {
    const { localAddress, localPort, remoteAddress, remotePort } = this.#raw;
    if (localAddress !== undefined) this.#local = told(localAddress, localPort!);
    if (remoteAddress !== undefined) this.#remote = told(remoteAddress, remotePort!);
  }

  #sent(event: Overlapped, error: Error | null | undefined): void {
    // A send that was cut short is told by 'close', when its memory is free. After a destroy the callback may say
    // success for one.
    if (error || this.#raw.destroyed || this.#sending !== event) return;
    this.#sending = null;
    this.host.queue(Operation.Send, this, event, null).bytes = this.#sendingBytes;
  }

  #endReceive(error: IocpError | null): void {
    const event = this.#receiving;
    this.#receiving = null;
    this.host.queue(Operation.Receive, this, event, error);
  }

  #broken(): IocpError | null {
    if (this.#failure || !this.#gone) return this.#failure;
    return new IocpError('send', 'the connection was ended', 'EPIPE', 'write');
  }

  #onClose(): void {
    this.#gone = true;
    if (this.#file?.reading) return;
    if (this.#abandoned) {
      this.host.gone(this);
      return;
    }
    if (this.closing) {
      this.#finish();
      return;
    }
    // Not ours: the connection broke, a connect failed, or both directions have ended.
    if (!this.#ended) {
      this.#failure ??= new IocpError('use the connection', 'it was ended', 'ECONNABORTED', 'close');
    }
    this.#endWrites(this.#broken());
    if (this.#receiving !== null) this.deliver();
  }

  /** The second phase of the close. */
  #finish(): void {
    this.#endWrites(canceled('finish the operation', 'close'));
    if (this.#receiving !== null) this.#endReceive(canceled('receive', 'read'));
    this.host.queue(Operation.Close, this, null, null);
    this.host.gone(this);
  }

  #endWrites(error: IocpError | null): void {
    const { host } = this;
    if (this.#connecting) host.queue(Operation.Connect, this, this.#connecting, error);
    if (this.#sending) host.queue(Operation.Send, this, this.#sending, error).bytes = this.#file?.sent ?? 0;
    this.#file = null;
    if (this.#shuttingDown) host.queue(Operation.Shutdown, this, null, error);
    this.#connecting = null;
    this.#sending = null;
    this.#shuttingDown = false;
  }
}

/** node:net takes the idle time only. Throws an IocpError (ENOTSUP) for more. */
export function idleSeconds(keepAlive: number | KeepAlive, action: string): number {
  if (typeof keepAlive === 'number') return keepAlive;
  if (keepAlive.interval !== undefined || keepAlive.count !== undefined) throw hasNoOption(action);
  return keepAlive.idle;
}
