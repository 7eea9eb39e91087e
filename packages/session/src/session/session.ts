// Session: one connection. It owns a socket, its receive stream and its send queue, and calls handlers for their packets.
// Users subclass it, or give an object of handlers (handlers.ts).
//
// The methods for other modules of this package have symbols as names (symbols.ts). The meaning of the state bits, and their order,
// is in session-state.ts.

import assert from 'node:assert';
import { AsyncResource } from 'node:async_hooks';
import type { FileHandle } from 'node:fs/promises';
import {
  type CompletionPacket,
  type Endpoint,
  type GatherList,
  IocpError,
  isIocpError,
  type KeepAlive,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import { lengthOf as lengthOfArray } from '@overlapped/iocp-native/internal';
import { type Core, onCompletion, onFlush, type SharedMessages } from '@overlapped/net-core/internal';
import { endBorrow, startBorrow } from '../borrowed.js';
import { bytesOf, ownCopy } from '../bytes.js';
import { endpointOf } from '../endpoints.js';
import { report, warn } from '../failures.js';
import { truncatedFrame } from '../framing/framer.js';
import { asError, isThenable } from '../outcomes.js';
import { Stat } from '../stats.js';
import { chunksOf, type SessionDuplex, SessionSocket } from '../stream/duplex.js';
import { type WebStreams, webStreamsOf } from '../stream/web.js';
import { cutStream, type TlsEngine } from '../tls/engine.js';
import type { TlsInfo } from '../tls/options.js';
import { type FileRange, FileSend } from './file-send.js';
import { broadcast, groupsOf } from './groups.js';
import type { Origin } from './origin.js';
import { SendQueue } from './send-queue.js';
import { type SessionEvent, takeEvent } from './session-event.js';
import type { SessionOwner } from './session-set.js';
import {
  AWAITS_DRAIN,
  CLOSING,
  CONGESTED,
  delivers,
  END_REPORTED,
  ENDING,
  FIN_SENT,
  FLUSH_PENDING,
  HANDLER_FAILED,
  isOpen,
  KEPT_DROPPED,
  KEPT_FULL,
  mayReceive,
  NO_READER,
  OPENED,
  PAUSED,
  PEER_ENDED,
  SECURE,
  THROTTLED,
  takesBytes,
} from './session-state.js';
import {
  kBytesArrived,
  kClose,
  kDelivers,
  kEnd,
  kFollow,
  kIsNew,
  kIsStream,
  kOpen,
  kPartialFrame,
  kReceives,
  kRelease,
  kSendMessage,
  kSendNow,
  kSentAll,
  kUnread,
  kWaitExpired,
} from './symbols.js';

// Indexes of the core's counters.
const { bytesReceived: RECEIVED, bytesSent: SENT } = Stat;

/** Limits of the bytes kept for a stream that is taken later: bytes, and pieces of them. */
const MAX_KEPT_BYTES = 65_536;
const MAX_KEPT_PIECES = 64;

/**
 * Limit of the bytes of a write that a stream sends at once: those that would be copied. Of larger arrays several go in one call.
 * destroy() still sends as many, so that a peer does not get a part of a larger write and then a reset.
 */
const SENT_NOW = 16_384;

/**
 * One connection. Override the handlers that you need. All of them run on the thread of the core. A handler that throws, or
 * whose promise rejects, closes its session with that error. The error is counted (`failed` of the core's statistics) and
 * published in the diagnostics channel `overlapped:session-failed`. It is also a process warning if onDisconnected is not
 * overridden, or has been called already.
 */
export class Session {
  /** Bytes given to onReceive. */
  bytesReceived = 0;
  /** Bytes that the kernel has taken to send. */
  bytesSent = 0;
  #state = 0;
  #core: Core | null = null;
  /** Null before the session opens and after its end. */
  #socket: PortSocket | null = null;
  #owner: SessionOwner | null = null;
  /** The client, if a trusted proxy has connected for it, and the TLS connection. Null for most sessions. */
  #origin: Origin | null = null;
  #receiveEvent: SessionEvent | null = null;
  #sendEvent: SessionEvent | null = null;
  #queue: SendQueue | null = null;
  /** Copies of bytes that came while they could not be delivered: a paused session must not hold receive buffers. */
  #held: Buffer[] | null = null;
  #stream: SessionSocket | null = null;
  /** The group that was joined first. Most sessions are in one group, for which no Set is made. */
  #group: string | null = null;
  #otherGroups: Set<string> | null = null;
  #error: Error | undefined = undefined;
  /** Handlers whose promises have not settled. */
  #pendingHandlers = 0;
  /**
   * The async context of the handlers and of the stream's events: that of the listen() or connect() that the session comes
   * from. It is made for the first handler, since idle connections are many.
   */
  #context: AsyncResource | null = null;

  // Handlers, for subclasses to override.

  /** The connection is open. Nothing has been received yet. */
  onConnected(): unknown {
    return undefined;
  }

  /**
   * Bytes have arrived. `data` is borrowed: it is valid until this returns, or, in an async handler, until its first await.
   * send(data) keeps it. Copy it for any other later use.
   */
  onReceive(data: Buffer): unknown;
  onReceive(): unknown {
    return undefined;
  }

  /**
   * The peer has ended its direction, and onReceive has been given all bytes. With `allowHalfOpen` the session stays open for
   * sending until end() is called. Otherwise it closes when the queue is sent and no async handler (this one included) is
   * running, at most 10 seconds after the peer's end. After 10 seconds it closes with an IocpError (ETIMEDOUT); so a handler
   * must not wait for onDisconnected.
   */
  onEnd(): unknown {
    return undefined;
  }

  /** A send has completed: the kernel has taken `bytes` more bytes. */
  onSend(bytes: number): unknown;
  onSend(): unknown {
    return undefined;
  }

  /** After a send() that returned false: the queue has drained to the low watermark. */
  onDrain(): unknown {
    return undefined;
  }

  /**
   * The session is over. It is the last handler to run. `error` is the reason, undefined after an orderly end: an IocpError,
   * the error of a handler, or the argument of destroy().
   */
  onDisconnected(error?: Error): unknown;
  onDisconnected(): unknown {
    return undefined;
  }

  // Sending.

  /**
   * Queues bytes. All bytes queued by the end of a handler go in one operation. An array of up to 16,384 bytes is copied (or
   * kept, if borrowed) at once. A larger array belongs to the session until it is sent, and must not change.
   * False if the queue is above the high watermark (the bytes are queued; wait for onDrain), if the queue's limit forbids it
   * (see QueueLimitOptions), or if the session takes no more bytes (`writable` is false; the bytes are dropped).
   */
  send(data: Uint8Array | string): boolean {
    if (!takesBytes(this.#state)) return false;
    this.#queue ??= new SendQueue(this.#core!);
    const queue = this.#queue;
    const { queueLimit, highWatermark } = this.#owner!;
    const bytes = bytesOf(data);
    const length = lengthOfArray(bytes);
    this.#flushSoon();
    const full = queueLimit !== null && !queueLimit.admits(queue.bytes, length);
    const dropped = full && !queueLimit.exceeded(this);
    if (full && !dropped) this.#stopReceiving(THROTTLED);
    if (!dropped) {
      if ((this.#state & SECURE) === 0) queue.push(bytes, length);
      else queue.pushCopy(bytes, length);
    }
    if (!dropped && queue.bytes <= highWatermark) return true;
    this.#state |= CONGESTED;
    return false;
  }

  /**
   * Queues a file, in order with other sends. Resolves with the number of bytes when the kernel has taken all of them. Rejects
   * with an error of `fs` (ENOENT ...), or with an IocpError: ENODATA if the file does not have the range, EINVAL if it is not
   * a regular file or the range is not valid, ENOTSUP on a named pipe, EPIPE if the session takes no more bytes or ends first.
   * After a rejection nothing of the file was sent, and the session goes on. The exception is a file that gets shorter while
   * it is sent: that ends the session (ENODATA), since the peer would take later bytes for the file's. A FileHandle stays the
   * caller's, and must stay open until the promise settles.
   */
  sendFile(file: string | FileHandle, range?: FileRange): Promise<number> {
    const { writable } = this;
    if (writable) this.#queue ??= new SendQueue(this.#core!);
    return FileSend.queue(writable ? this.#queue : null, () => this.#flushSoon(), file, range);
  }

  /** Whether send() takes bytes. */
  get writable(): boolean {
    return takesBytes(this.#state);
  }

  /** Bytes that are queued or being sent. */
  get bytesQueued(): number {
    return this.#queue?.bytes ?? 0;
  }

  // Receiving and ending.

  /** Stops onReceive. TCP's flow control then stops the peer. Bytes that have arrived already are kept. */
  pause(): void {
    this.#stopReceiving(PAUSED);
  }

  /** Undoes pause(). onReceive is not called before this returns. */
  resume(): void {
    if ((this.#state & PAUSED) === 0) return;
    this.#state &= ~PAUSED;
    if ((this.#state & CLOSING) === 0) this.#flushSoon();
  }

  /**
   * Sends `data` and all queued bytes, then half-closes. The session closes when the peer has ended too. If the peer ends
   * first, the session ends by itself, unless `allowHalfOpen` is set: see onEnd().
   */
  end(data?: Uint8Array | string): void {
    if (data !== undefined) this.send(data);
    // Bytes that were written to the stream, and are still buffered there, go first.
    if (this.#stream !== null) this.#stream.end();
    else this[kEnd]();
  }

  /** Closes at once: queued bytes are dropped, and the peer sees a reset. `error` goes to onDisconnected. */
  destroy(error?: Error): void {
    if (isOpen(this.#state)) this.#close(error, true);
  }

  // The session as a stream.

  /**
   * The session as a stream like net.Socket, from onConnected on; the same object each time. It replaces onReceive, onEnd,
   * onSend and onDrain; onDisconnected is still called. The session stays open after the peer's end until the stream is ended
   * too. Write to the stream then, not to the session. If the session has none of the handlers above, it keeps received bytes
   * for a stream that is taken later: up to 64 KiB, and for 10 seconds. A stream that is taken after that fails with ENODATA.
   */
  toDuplex(): SessionDuplex {
    assert(this.#owner !== null, 'toDuplex() before onConnected');
    if (this.#stream === null) {
      this.#stream = new SessionSocket(this, this.#socket, this.#owner.highWatermark);
      if (this.#socket !== null) this.#socket.ownMemory = (this.#state & SECURE) === 0;
      this.#readerFound();
      if ((this.#state & OPENED) === 0) this.#stream.onDisconnected(this.#error);
      else if ((this.#state & KEPT_DROPPED) !== 0) this.#stream.destroy(streamTakenLate());
      else if ((this.#state & ENDING) !== 0) this.#stream.end();
    }
    return this.#stream;
  }

  /** toDuplex() as web streams; the same pair each time. Cancelling the readable or aborting the writable destroys both. */
  toWeb(): WebStreams {
    return webStreamsOf(this.toDuplex());
  }

  /**
   * Received bytes, in chunks that are copies, as fast as the loop takes them. When the loop is left, in any way, the session
   * ends as with end(), and bytes that still arrive are dropped.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    return chunksOf(this.toDuplex() as SessionSocket);
  }

  // Groups.

  /** Joins a group: broadcast() to the group reaches this session, until it leaves or is over. */
  join(group: string): void {
    if ((this.#state & OPENED) === 0 || this.#group === group || this.#otherGroups?.has(group)) return;
    if (this.#group === null) this.#group = group;
    else {
      this.#otherGroups ??= new Set();
      this.#otherGroups.add(group);
    }
    groupsOf(this.#core!).join(this, group);
  }

  /** Leaves a group. Does nothing if the session is not in it. */
  leave(group: string): void {
    if (this.#group === group) this.#group = null;
    else if (!this.#otherGroups?.delete(group)) return;
    groupsOf(this.#core!).leave(this, group);
  }

  /** {@link broadcast} from the server of this session, to this session too. It also works in onDisconnected. */
  broadcast(data: Uint8Array | string, group?: string): boolean {
    return this.#core !== null && broadcast(this.#core, data, group);
  }

  // Addresses and socket options.

  /**
   * The peer; behind a trusted proxy, the client. Undefined once the connection is gone, and for local sockets. Each access
   * asks the operating system.
   */
  get remote(): Endpoint | undefined {
    const client = this.#socket === null ? null : this.#origin?.client;
    return client ?? endpointOf(this.#socket, 'remoteEndpoint');
  }

  /** This end of the connection. Undefined as `remote` is. */
  get local(): Endpoint | undefined {
    return endpointOf(this.#socket, 'localEndpoint');
  }

  /** The peer's IP address. */
  get remoteAddress(): string | undefined {
    return this.remote?.address;
  }

  /** The peer's port. */
  get remotePort(): number | undefined {
    return this.remote?.port;
  }

  /** The IP address of this end. */
  get localAddress(): string | undefined {
    return this.local?.address;
  }

  /** The port of this end. */
  get localPort(): number | undefined {
    return this.local?.port;
  }

  /**
   * The facts of the TLS connection; null without one. In onDisconnected it has those that were asked for earlier. The peer's
   * certificate is parsed by the first access.
   */
  get tls(): TlsInfo | null {
    return this.#origin?.tls?.info ?? null;
  }

  /** Sets TCP_NODELAY. Ignored once the connection is gone, and for local sockets. */
  setNoDelay(on = true): void {
    this.#socket?.setOption('noDelay', on);
  }

  /** Sets SO_KEEPALIVE, in seconds; 0 turns it off. Ignored as setNoDelay() is. Throws an IocpError (EINVAL, ENOTSUP). */
  setKeepAlive(keepAlive: number | KeepAlive): void {
    this.#socket?.setOption('keepAlive', keepAlive);
  }

  // For the core.

  /** A packet of one of this session's operations. False if it called no handler. @internal */
  [onCompletion](packet: CompletionPacket): boolean {
    if (packet.operation === Operation.Send && this.#sendsSilently) {
      this.#sent(packet.bytes, packet.error);
      return false;
    }
    (this.#context ?? this.#makeContext()).runInAsyncScope(this.#complete, this, packet);
    return true;
  }

  /** Whether the packet of a send neither calls a handler nor settles the promise of a sendFile(). */
  get #sendsSilently(): boolean {
    if (this.#stream !== null || (this.#state & (SECURE | AWAITS_DRAIN)) !== 0) return false;
    return this.onSend === Session.prototype.onSend && this.#queue!.file === null;
  }

  /** Does the work that was put off to the end of the batch. False if it called no handler. @internal */
  [onFlush](): boolean {
    if (this.#held === null && (this.#state & (PEER_ENDED | AWAITS_DRAIN)) === 0 && this.#stream?.keeps !== true) {
      this.#flush();
      return false;
    }
    (this.#context ?? this.#makeContext()).runInAsyncScope(this.#flush, this);
    return true;
  }

  // For other modules of this package: see symbols.ts.

  /**
   * @param origin the addresses of a PROXY header, and the TLS connection, if there is one of them
   * @param context is entered for onConnected
   * @param keepsContext the session keeps that context for its other handlers, too
   * @internal
   */
  [kOpen](
    core: Core,
    socket: PortSocket,
    owner: SessionOwner,
    origin: Origin | null,
    context: AsyncResource,
    keepsContext: boolean,
  ): void {
    this.#core = core;
    this.#socket = socket;
    this.#owner = owner;
    if (keepsContext || this.onConnected !== Session.prototype.onConnected) this.#context = context;
    this.#state = OPENED;
    socket.key = this;
    if (origin !== null) this.#comesFrom(origin);
    if (owner.group !== null) {
      this.#group = owner.group;
      groupsOf(core).join(this, owner.group);
    }
    if (this.#held !== null || origin?.tls) this.#flushSoon();
    context.runInAsyncScope(this.#run, this, () => this.onConnected());
    if (this.#stream === null && hasNoDataHandler(this)) this.#state |= NO_READER;
    if (this.#receiveEvent === null && mayReceive(this.#state)) this.#receive();
  }

  /** @internal */
  get [kIsNew](): boolean {
    return this.#core === null;
  }

  /** @internal */
  get [kReceives](): boolean {
    return mayReceive(this.#state);
  }

  /** @internal */
  get [kDelivers](): boolean {
    return delivers(this.#state);
  }

  /** @internal */
  get [kBytesArrived](): number {
    return this.bytesReceived + lengthOf(this.#held);
  }

  /** @internal */
  [kUnread](rest: Buffer): void {
    if ((this.#state & CLOSING) !== 0 || rest.length === 0) return;
    this.bytesReceived -= rest.length;
    this.#core!.statsBlock.values[RECEIVED]! -= rest.length;
    // Held bytes are copies. Bytes that were never held lie in the receive buffer, which is released after this.
    if (this.#held !== null) this.#held.unshift(rest);
    else this.#held = [ownCopy(rest)];
  }

  /** @internal */
  get [kPartialFrame](): number {
    return 0;
  }

  /** @internal */
  [kFollow](result: unknown): void {
    if (!isThenable(result)) return;
    this.#pendingHandlers++;
    result.then(
      () => this.#handlerSettled(),
      (thrown: unknown) => {
        this.#fail(thrown);
        this.#handlerSettled();
      },
    );
  }

  /** @internal */
  get [kSentAll](): boolean {
    if ((this.#state & SECURE) !== 0 && this.#origin!.tls!.output !== null) return false;
    return this.#queue === null || this.#queue.idle;
  }

  /** @internal */
  [kSendMessage](messages: SharedMessages, message: number, offset: number, length: number): void {
    if (!takesBytes(this.#state) || !this.#owner!.takesMessage(this, length)) return;
    this.#queue ??= new SendQueue(this.#core!);
    this.#queue.pushMessage(messages, message, offset, length);
    this.#flushSoon();
  }

  /**
   * Sends bytes of the stream without a packet. Gives the number of bytes that the kernel has taken: 0 where they must be queued,
   * because of bytes ahead of them, TLS, the queue's limit, or a subclass with a send() of its own.
   * @internal
   */
  [kSendNow](bytes: Uint8Array): number {
    const core = this.#core;
    if ((this.#state & SECURE) !== 0 || !takesBytes(this.#state) || !core!.sendsNow) return 0;
    if (this.#sendEvent !== null || !this[kSentAll] || this.send !== Session.prototype.send) return 0;
    const length = lengthOfArray(bytes);
    const { queueLimit } = this.#owner!;
    if (length === 0 || length > SENT_NOW || (queueLimit !== null && !queueLimit.admits(0, length))) return 0;
    let taken = 0;
    try {
      taken = core!.port.sendNow(this.#socket!, bytes);
    } catch (error) {
      this.#close(asError(error), true);
      return 0;
    }
    this.bytesSent += taken;
    core!.statsBlock.values[SENT]! += taken;
    return taken;
  }

  /** @internal */
  [kRelease](buffer: number): void {
    this.#core!.port.release(buffer);
  }

  /** @internal */
  get [kIsStream](): boolean {
    return this.#stream !== null && !this.#stream.isLoop;
  }

  /** @internal */
  [kEnd](): void {
    if (!takesBytes(this.#state)) return;
    this.#state |= ENDING;
    this.#owner!.onEnding(this);
    this.#flushSoon();
  }

  /**
   * Resets the connection if bytes are lost, and on an error, unless bytes are still queued ("last words"): those are sent if
   * the kernel takes them at once.
   * @param bytesLost bytes of the stream were dropped
   * @param waited the send in flight was given the time to complete
   * @internal
   */
  [kClose](error: Error | undefined, bytesLost: boolean, waited = false): void {
    if (!isOpen(this.#state)) return;
    const lastWords = waited || !(bytesLost || this[kSentAll]);
    if (lastWords && !waited && this.#sendEvent !== null && this.#queue!.file === null && this.#queue!.waits) {
      // The kernel may have completed that send already. Then its packet is queued ahead of this post.
      this.#core!.post({ onPost: () => this[kClose](error, false, true) }, undefined);
      return;
    }
    if (lastWords && this.#sendEvent === null && !this[kSentAll]) this.#startSend();
    // Closing the socket while a send is in flight resets the connection if the send is cut short.
    this.#close(error, bytesLost || (lastWords ? (this.#queue?.waits ?? false) : error !== undefined));
  }

  /** @internal */
  [kWaitExpired](): void {
    if ((this.#state & NO_READER) !== 0) {
      // The base class's onReceive drops the bytes.
      if (hasNoDataHandler(this)) this.#state |= KEPT_DROPPED;
      this.#readerFound();
    } else if ((this.#state & (PEER_ENDED | ENDING | CLOSING)) === PEER_ENDED && this.#stream === null) {
      this.#close(answeredLate(), true);
    }
  }

  #comesFrom(origin: Origin): void {
    this.#origin = origin;
    this.#held = origin.takeRest();
    const event = origin.takeReceive();
    if (event !== null) {
      event.owner = this;
      this.#receiveEvent = event;
    }
    if (origin.tls === null) return;
    this.#state |= SECURE;
    if (origin.tls.peerEnded) this.#state |= PEER_ENDED;
  }

  #makeContext(): AsyncResource {
    this.#context = this.#owner!.context.runInAsyncScope(newContext);
    return this.#context;
  }

  #complete(packet: CompletionPacket): void {
    switch (packet.operation) {
      case Operation.Receive:
        if (packet.data !== null) {
          this.#received(packet.data, packet.buffer);
          break;
        }
        this.#stream?.deliverKept();
        this.#receiveEnded(packet.error);
        break;
      case Operation.Send:
        this.#sent(packet.bytes, packet.error);
        break;
      case Operation.Shutdown:
        this.#shutDown(packet.error);
        break;
      case Operation.Close:
        this.#closed();
        break;
    }
  }

  #flushSoon(): void {
    if ((this.#state & FLUSH_PENDING) !== 0) return;
    this.#state |= FLUSH_PENDING;
    this.#core!.flushSoon(this);
  }

  #flush(): void {
    // Sends of the stream's listeners go in this flush.
    this.#stream?.deliverKept();
    this.#state &= ~FLUSH_PENDING;
    if (this.#held !== null) this.#deliverHeld();
    if ((this.#state & CLOSING) !== 0) return;
    if (this.#receiveEvent === null && mayReceive(this.#state)) this.#receive();
    if ((this.#state & PEER_ENDED) !== 0 && this.#held === null) this.#reportEnd();
    if (this.#sendEvent !== null || (this.#state & CLOSING) !== 0) return;
    if (!this[kSentAll]) this.#startSend();
    else if ((this.#state & AWAITS_DRAIN) !== 0) this.#drained();
    else this.#finish();
  }

  // Receiving.

  #receive(): void {
    const event = takeEvent(this.#core!, this, Operation.Receive);
    this.#receiveEvent = event;
    this.#core!.port.receive(this.#socket!, event);
  }

  #received(data: Buffer, buffer: number): void {
    const core = this.#core!;
    if (buffer < 0) {
      this.#arrivedOwn(data);
      return;
    }
    if ((this.#state & SECURE) !== 0) this.#decrypt(data, this.#origin!.tls!);
    else this.#arrived(data, core, buffer);
    try {
      core.port.release(buffer);
    } catch (error) {
      // A handler has released the buffer already. That is misuse, and fails this session alone.
      this.#fail(error);
    }
  }

  /** @param core and `buffer`: where the bytes lie, if the send queue may keep that receive buffer */
  #arrived(data: Buffer, core: Core | null, buffer: number): void {
    if (delivers(this.#state) && this.#held === null) {
      startBorrow(data, core, buffer);
      this.#deliver(data);
      endBorrow();
      if (this.#stream?.keeps) this.#flushSoon();
    } else if ((this.#state & CLOSING) === 0) {
      this.#held ??= [];
      this.#held.push(ownCopy(data));
      if ((this.#state & NO_READER) !== 0) this.#keep(this.#held);
    }
  }

  /** Bytes in memory of their own: only a stream asks for these. */
  #arrivedOwn(data: Buffer): void {
    if (delivers(this.#state) && this.#held === null) this.#deliver(data);
    else if ((this.#state & CLOSING) === 0) {
      this.#held ??= [];
      this.#held.push(data);
    }
  }

  /** Bytes of a TLS connection. All of them are decrypted now, also those of a session that is paused. */
  #decrypt(data: Buffer, tls: TlsEngine): void {
    try {
      for (let bytes = tls.read(data); bytes !== null; bytes = tls.next()) this.#arrived(bytes, null, -1);
    } catch (error) {
      // The alert for the peer is sent as last words.
      this[kClose](asError(error), false);
      return;
    }
    if ((this.#state & CLOSING) !== 0) return;
    if (tls.output !== null) this.#flushSoon();
    if (tls.peerEnded && (this.#state & PEER_ENDED) === 0) this.#peerEnded();
  }

  #deliver(data: Buffer): void {
    this.bytesReceived += data.length;
    this.#core!.statsBlock.values[RECEIVED]! += data.length;
    try {
      const result = (this.#stream ?? this).onReceive(data);
      if (result !== undefined) this[kFollow](result);
    } catch (error) {
      this.#fail(error);
    }
  }

  #deliverHeld(): void {
    const held = this.#held!;
    // The stream gets one event, as for one packet: promises do not run between events that are emitted from here.
    if (this.#stream !== null && held.length > 1) held.splice(0, held.length, Buffer.concat(held));
    while (held.length > 0 && delivers(this.#state)) this.#deliver(held.shift()!);
    if (held.length === 0) this.#held = null;
  }

  /** Bytes have arrived, and the session has neither a stream nor a handler for them. */
  #keep(held: Buffer[]): void {
    // A handler may be assigned to a session at any time.
    if (!hasNoDataHandler(this)) {
      this.#readerFound();
      return;
    }
    this.#owner!.startWait(this);
    if (held.length >= MAX_KEPT_PIECES || lengthOf(held) >= MAX_KEPT_BYTES) this.#stopReceiving(KEPT_FULL);
  }

  /** A stream was taken, a handler was assigned, or neither in time: kept bytes are delivered. */
  #readerFound(): void {
    if ((this.#state & NO_READER) === 0) return;
    this.#state &= ~(NO_READER | KEPT_FULL);
    this.#owner!.stopWait(this);
    if (isOpen(this.#state)) this.#flushSoon();
  }

  #stopReceiving(reason: typeof PAUSED | typeof THROTTLED | typeof KEPT_FULL): void {
    if ((this.#state & (reason | CLOSING)) !== 0) return;
    this.#state |= reason;
    if (this.#receiveEvent !== null) this.#core!.port.cancel(this.#socket!, this.#receiveEvent);
  }

  /** The last packet of the receive stream: the peer's FIN, the cancellation by pause(), or a failure. */
  #receiveEnded(error: IocpError | null): void {
    this.#core!.events.release(this.#receiveEvent!);
    this.#receiveEvent = null;
    if ((this.#state & CLOSING) !== 0) return;
    if (error === null) {
      if ((this.#state & SECURE) !== 0 && (this.#state & PEER_ENDED) === 0) this.#close(cutStream(), true);
      else this.#peerEnded();
      return;
    }
    if (error.code !== 'ECANCELED') this.#close(error, true);
    this.#flushSoon();
  }

  #peerEnded(): void {
    this.#state |= PEER_ENDED;
    if (!this.#owner!.allowHalfOpen) this.#owner!.onEnding(this);
    this.#flushSoon();
  }

  /** All bytes that the peer sent before its FIN have been delivered. */
  #reportEnd(): void {
    if (this.#stream !== null) {
      this.#stream.onEnd();
      return;
    }
    if ((this.#state & END_REPORTED) !== 0) return;
    this.#state |= END_REPORTED;
    // An end in the middle of a frame is an error and not an orderly end.
    if (this[kPartialFrame] === 0) this.#run(() => this.onEnd());
  }

  // Sending.

  #startSend(): void {
    this.#queue ??= new SendQueue(this.#core!);
    const { file } = this.#queue;
    if (file !== null && !file.open && (this.#state & SECURE) === 0) return; // The file asks for a flush when it is open.
    const tls = (this.#state & SECURE) !== 0 ? this.#origin!.tls! : null;
    let pieces: GatherList | null = null;
    try {
      if (tls !== null) {
        // A file is read piece by piece, and asks for a flush when it has read one.
        if (file !== null && tls.output === null && !file.fetch(() => this.#flushSoon())) {
          if (file.failed !== null) this.#failFile(file, file.failed);
          return;
        }
        pieces = this.#queue.gatherSealed(tls);
      } else if (file === null) pieces = this.#queue.gather();
    } catch (error) {
      this.#close(asError(error), true);
      return;
    }
    if (pieces === null && (file === null || tls !== null)) {
      if (this.#queue.gone === null) this.#core!.awaitSendBuffer(this);
      else this.#close(this.#queue.gone, true);
      return;
    }
    const event = takeEvent(this.#core!, this, Operation.Send);
    this.#sendEvent = event;
    const { port } = this.#core!;
    const { offered } = this.#queue!;
    if (pieces === null) file!.start(port, this.#socket!, event);
    else if (offered.length === 0) port.send(this.#socket!, event, pieces);
    else this.#queue!.took(port.sendDirect(this.#socket!, event, pieces, offered));
  }

  /** A part of the file may have been sent. */
  #failFile(file: FileSend, error: Error): void {
    file.sent(0, error);
    this.#close(error, true);
  }

  #sent(taken: number, error: IocpError | null): void {
    let bytes = taken;
    const queue = this.#queue!;
    this.#core!.events.release(this.#sendEvent!);
    this.#sendEvent = null;
    // Of a TLS connection the plain bytes are counted.
    if ((this.#state & SECURE) !== 0) bytes = queue.plainInFlight;
    this.bytesSent += bytes;
    this.#core!.statsBlock.values[SENT]! += bytes;
    const failure = queue.sent(bytes, error);
    if ((this.#state & CLOSING) !== 0) return;
    if (failure !== null) {
      this.#close(failure, true);
      return;
    }
    if (!queue.idle || (this.#state & (ENDING | PEER_ENDED)) !== 0) this.#flushSoon();
    // A direct send that found no room tells only that there is some now.
    if (bytes > 0 || queue.idle) this.#reportSent(bytes);
    if ((this.#state & AWAITS_DRAIN) !== 0 && queue.bytes <= this.#owner!.lowWatermark) this.#drained();
  }

  #reportSent(bytes: number): void {
    try {
      const result = (this.#stream ?? this).onSend(bytes);
      if (result !== undefined) this[kFollow](result);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** The queue is down to the low watermark: receiving goes on if it was throttled, and onDrain is called. */
  #drained(): void {
    const before = this.#state;
    this.#state &= ~AWAITS_DRAIN;
    this.#flushSoon();
    if ((before & (CONGESTED | CLOSING)) !== CONGESTED) return;
    if (this.#stream === null) this.#run(() => this.onDrain());
  }

  // Ending.

  /** Everything is sent: closes if the peer has ended, or sends the FIN if end() was called. */
  #finish(): void {
    if ((this.#state & PEER_ENDED) !== 0 && this.#held === null) {
      if (this.#outlivesPeer() || this.#saysClose()) return;
      this.#close(this[kPartialFrame] > 0 ? truncatedFrame() : undefined, false);
    } else if ((this.#state & (ENDING | FIN_SENT)) === ENDING) {
      if (this.#saysClose()) return;
      this.#state |= FIN_SENT;
      this.#core!.port.shutdown(this.#socket!);
    }
  }

  /** Before the end of a TLS connection comes its close_notify. True if that has to be sent first. */
  #saysClose(): boolean {
    if ((this.#state & SECURE) === 0 || !this.#origin!.tls!.end()) return false;
    this.#startSend();
    return true;
  }

  /** Whether the session stays open for a while after the peer's end. */
  #outlivesPeer(): boolean {
    if ((this.#state & ENDING) !== 0) return false;
    if (this.#stream !== null || (this.#owner!.allowHalfOpen && this[kPartialFrame] === 0)) return true;
    if (this.#pendingHandlers === 0) return false;
    this.#owner!.startWait(this);
    return true;
  }

  #shutDown(error: IocpError | null): void {
    if ((this.#state & CLOSING) !== 0) return;
    // A named pipe has no half-close. It closes as a whole, or the peer would wait for an end that cannot come.
    if (error?.code === 'ENOTSUP') this.#close(undefined, false);
    // ENOTCONN: the peer has reset the connection. The receive stream reports that with the better error.
    else if (error !== null && error.code !== 'ENOTCONN') this.#close(error, true);
  }

  #close(error: Error | undefined, reset: boolean): void {
    this.#state |= CLOSING;
    this.#error = error;
    this.#queue?.discard();
    this.#held = null;
    this.#core!.port.close(this.#socket!, reset);
  }

  /** The Close packet: no operation of this session is in flight any more. */
  #closed(): void {
    if (this.#group !== null) groupsOf(this.#core!).leave(this, this.#group);
    for (const group of this.#otherGroups ?? []) groupsOf(this.#core!).leave(this, group);
    this.#group = null;
    this.#otherGroups = null;
    this.#state &= ~OPENED;
    this.#owner!.onClosed(this, this.#error);
    this.#socket = null;
    this.#origin?.close();
    const failed = (this.#state & HANDLER_FAILED) !== 0;
    if (failed && this.onDisconnected === Session.prototype.onDisconnected) {
      warn(this.#core!, 'A session was closed, as its handler failed', this.#error);
    }
    // A handler's error is not an error of the stream: without a listener for 'error' it must not end the process.
    const quiet = failed && this.#stream?.listenerCount('error') === 0;
    this.#stream?.onDisconnected(quiet ? undefined : this.#error);
    this.#runLast();
  }

  // Running handlers.

  /** Runs a handler that is not called for each packet. */
  #run(handler: () => unknown): void {
    try {
      this[kFollow](handler());
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Runs onDisconnected. Its failure cannot close the session, which is over. */
  #runLast(): void {
    const failed = (thrown: unknown): void => {
      report(this.#core!, this, asError(thrown));
      warn(this.#core!, 'onDisconnected failed', thrown);
    };
    try {
      const result = this.onDisconnected(this.#error);
      if (isThenable(result)) result.then(undefined, failed);
    } catch (thrown) {
      failed(thrown);
    }
  }

  /** After the peer's end the session waits for its handlers to settle, and then closes. */
  #handlerSettled(): void {
    this.#pendingHandlers--;
    if (this.#pendingHandlers === 0 && isOpen(this.#state) && (this.#state & PEER_ENDED) !== 0) this.#flushSoon();
  }

  /** A handler has failed: the session closes with the error. If it is closing already, a process warning reports the error. */
  #fail(thrown: unknown): void {
    const error = asError(thrown);
    const open = isOpen(this.#state);
    if (!open && followsFromEnd(error, this.#error)) return;
    report(this.#core!, this, error);
    if (open) {
      this.#state |= HANDLER_FAILED;
      // A subclass may have overridden it.
      this.destroy(error);
    } else {
      warn(this.#core!, 'A handler failed when its session was over, or about to be', error);
    }
  }
}

/** Whether a handler failed only since its session was over: its await was rejected for that reason. */
function followsFromEnd(error: Error, reason: Error | undefined): boolean {
  return (
    error === reason || isIocpError(error) || String((error as NodeJS.ErrnoException).code).startsWith('ERR_STREAM_')
  );
}

export function newContext(): AsyncResource {
  return new AsyncResource('OverlappedSession');
}

/** Whether the session has none of the handlers that a stream replaces. Then it keeps bytes for a stream that is taken later. */
function hasNoDataHandler(session: Session): boolean {
  const { onReceive, onEnd, onSend, onDrain } = Session.prototype;
  const { onReceive: receives, onEnd: ends, onSend: sends, onDrain: drains } = session;
  return receives === onReceive && ends === onEnd && sends === onSend && drains === onDrain;
}

function lengthOf(pieces: readonly Buffer[] | null): number {
  let length = 0;
  if (pieces !== null) for (const piece of pieces) length += piece.length;
  return length;
}

function streamTakenLate(): IocpError {
  return new IocpError('read', 'bytes that came before the stream was taken were dropped', 'ENODATA', 'read');
}

function answeredLate(): IocpError {
  return new IocpError('answer the peer', 'it has ended, and a handler took too long', 'ETIMEDOUT', 'shutdown');
}
