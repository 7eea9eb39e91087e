// SessionSocket: a session as a Node stream that behaves like a net.Socket, so that http, tls and other users of sockets can use
// sessions. Both directions have back-pressure:
//
//   session.onReceive -> kept -> copy -> push()
//                                           a full readable side pauses the session, and TCP's flow control the peer
//   write() -> session[kSendNow]()          what the kernel takes at once
//           -> session.send()               the rest; a write calls back when the kernel has its last byte; then the next write starts

import type net from 'node:net';
import { Duplex } from 'node:stream';
import { type Endpoint, IocpError, isIocpError, type PortSocket } from '@overlapped/iocp-native';
import { surface } from '@overlapped/net-core/internal';
import { borrowed } from '../borrowed.js';
import type { Session } from '../session/session.js';
import { kClose, kEnd, kRelease, kSendNow, kSentAll } from '../session/symbols.js';

/**
 * A session as a stream, with the members and events of a net.Socket that has `allowHalfOpen`. Set that to false, and the stream ends
 * when the peer ends. destroy() drops bytes that the kernel does not take at once; if bytes are lost, it resets the connection.
 * destroy(error) always resets the connection, except when a write is still queued: then that data is sent if the kernel takes it
 * at once.
 */
export interface SessionDuplex extends Duplex {
  /** Always false: a session is connected. */
  readonly connecting: false;
  /** Whether the stream was destroyed. */
  readonly pending: boolean;
  /** The open directions. */
  readonly readyState: 'open' | 'readOnly' | 'writeOnly' | 'closed';
  /** `writableLength`; undefined once the stream is destroyed. */
  readonly bufferSize: number | undefined;
  /** The peer's address. Undefined once the connection is gone, unless an address of the peer was read before. */
  readonly remoteAddress: string | undefined;
  /** As of `remoteAddress`. */
  readonly remotePort: number | undefined;
  /** As of `remoteAddress`. */
  readonly remoteFamily: 'IPv4' | 'IPv6' | undefined;
  /** The address of this end. Undefined as `remoteAddress` is. */
  readonly localAddress: string | undefined;
  /** As of `localAddress`. */
  readonly localPort: number | undefined;
  /** As of `localAddress`. */
  readonly localFamily: 'IPv4' | 'IPv6' | undefined;
  /** The address of this end; `{}` if `localAddress` is undefined. */
  address(): net.AddressInfo | Record<string, never>;
  /** Bytes received, including unread ones. */
  readonly bytesRead: number;
  /** Bytes written, including those still buffered. */
  readonly bytesWritten: number;
  /** Sets TCP_NODELAY. `on` defaults to true. Ignored once the connection is gone. */
  setNoDelay(on?: boolean): this;
  /** Sets SO_KEEPALIVE. `delay`: milliseconds until the first probe, rounded down to seconds. Default, and below 1000: 2 hours. */
  setKeepAlive(on?: boolean, delay?: number): this;
  /**
   * Emits 'timeout' after `delay` milliseconds without a byte received or sent; 0 turns it off. Values above 2^31 - 1 count as
   * that. Throws a TypeError (ERR_INVALID_ARG_TYPE) if `delay` is not a number or `callback` not a function, and a RangeError
   * (ERR_OUT_OF_RANGE) if `delay` is below 0, NaN or Infinity.
   */
  setTimeout(delay: number, callback?: () => void): this;
  /** The milliseconds that setTimeout() has set. */
  readonly timeout?: number;
  /** Ends the stream, and destroys it when everything is sent. */
  destroySoon(): void;
  /** Drops buffered bytes and resets the connection. */
  resetAndDestroy(): this;
  /** Has no effect: a core keeps its process alive until it stops. */
  ref(): this;
  /** Has no effect, as ref(). */
  unref(): this;
}

/** Limit of unread bytes before the session is paused. Pausing and resuming cost two operations. */
const READ_AHEAD = 65_536;
/** Limit of buffered bytes that destroy() still sends: the bytes of one send. */
const LAST_WORDS = 65_536;
/** Limit of Node's timers, in milliseconds. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

type Callback = (error?: Error | null) => void;

export class SessionSocket extends Duplex implements SessionDuplex {
  readonly connecting = false;
  timeout?: number;
  /** `for await` reads this stream, and its user sends by the session itself: so stop() may end the session. */
  isLoop = false;
  /** Internal to Node: there is no other access to the buffered chunks. */
  declare readonly _writableState: { getBuffer(): readonly { readonly chunk: Buffer }[] };
  readonly #session: Session;
  /** Null if the session was over when the stream was taken. */
  readonly #socket: PortSocket | null;
  /** The callback of the write, or of the end, in progress. */
  #callback: Callback | null = null;
  /** Bytes of the write in progress, and of completed writes. */
  #writing = 0;
  #written = 0;
  /** Completes _destroy() when the session has closed. */
  #destroyed: (() => void) | null = null;
  /** When the stream was ended, nothing was left to send. */
  #allSent = false;
  /** The session has dropped bytes that were written. */
  #dropped = false;
  /** A write of this tick is with the kernel, and no packet says so. */
  #justSent = false;
  #reset = false;
  #peerEnded = false;
  /** The session has closed. */
  #over = false;
  /**
   * Receive buffers that came full, which says that more follows: views of them, and their indexes. They become one chunk when the
   * rest has come, or at the end of the batch.
   */
  readonly #kept: Buffer[] = [];
  readonly #keptBuffers: number[] = [];
  #keptBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerDelay = 0;
  #remote: Endpoint | undefined;
  #local: Endpoint | undefined;

  constructor(session: Session, socket: PortSocket | null, writableHighWaterMark: number) {
    // 'close' is emitted by this class, since its argument says whether there was an error.
    super({ readableHighWaterMark: READ_AHEAD, writableHighWaterMark, emitClose: false });
    this.#session = session;
    this.#socket = socket;
  }

  // The session calls these.

  onReceive(data: Buffer): void {
    this.#restartTimer();
    const { core, buffer } = borrowed;
    if (core !== null && data.length === core.receiveSize) {
      core.port.retain(buffer);
      this.#kept.push(data);
      this.#keptBuffers.push(buffer);
      this.#keptBytes += data.length;
      if (this.#keptBytes >= READ_AHEAD) this.deliverKept();
    } else if (borrowed.data === null) {
      // Memory of its own: it was received there, or copied while the session was paused.
      this.deliverKept();
      if (!this.#push(data)) this.#session.pause();
    } else if (this.#keptBytes > 0) {
      this.deliverKept(data);
    } else if (!this.#push(Buffer.from(data))) {
      this.#session.pause();
    }
  }

  /** Whether deliverKept() has something to deliver. */
  get keeps(): boolean {
    return this.#keptBytes > 0;
  }

  /** Pushes the kept bytes, and `rest`, as one chunk. */
  deliverKept(rest?: Buffer): void {
    if (this.#keptBytes === 0) return;
    const chunk = Buffer.concat(rest === undefined ? this.#kept : [...this.#kept, rest]);
    this.#releaseKept();
    if (!this.#push(chunk)) this.#session.pause();
  }

  onSend(): void {
    this.#restartTimer();
    if (this.#session[kSentAll]) this.#completeWrite();
  }

  /** All bytes up to the peer's FIN have been received. May be called again. */
  onEnd(): void {
    if (this.#peerEnded) return;
    this.#peerEnded = true;
    afterTurn(() => {
      if (this.destroyed) return;
      this.#push(null);
      // Without this, a stream without a reader would never emit 'end', although nothing is left to read.
      this.read(0);
    });
  }

  onDisconnected(error: Error | undefined): void {
    this.#over = true;
    if (this.#destroyed !== null) {
      this.#destroyed();
      return;
    }
    const finishes = this.#allSent && this.#callback !== null;
    if (finishes) this.#completeWrite();
    // After an orderly end the stream destroys itself when its buffered bytes have been read.
    if (!error && this.#peerEnded && this.writableEnded && this.#callback === null) return;
    if (finishes) afterTurn(() => this.destroy(error));
    else this.destroy(error);
  }

  // Duplex calls these.

  override _read(): void {
    this.#session.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    const taken = this.#session[kSendNow](chunk);
    if (taken === chunk.length && taken > 0) {
      this.#restartTimer();
      this.#written += taken;
      if (!this.#justSent) {
        this.#justSent = true;
        process.nextTick(SessionSocket.#tickIsOver, this);
      }
      callback();
      return;
    }
    this.#writing += taken;
    this.#send(taken === 0 ? chunk : chunk.subarray(taken));
    this.#awaitSent(callback);
  }

  static #tickIsOver(stream: SessionSocket): void {
    stream.#justSent = false;
  }

  /** Chunks written while corked, or during another write, go in one send. */
  override _writev(chunks: readonly { readonly chunk: Buffer }[], callback: Callback): void {
    for (const { chunk } of chunks) this.#send(chunk);
    this.#awaitSent(callback);
  }

  override _final(callback: Callback): void {
    this.#callback = callback;
    this.#allSent = this.#session.writable && this.#session[kSentAll];
    this.#session[kEnd]();
    // In a later tick, as with net.Socket: a destroy() right after end() must prevent 'finish'.
    if (this.#allSent) process.nextTick(() => this.#completeWrite());
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    this.#releaseKept();
    const session = this.#session;
    // 'finish', 'end' or 'error' is emitted for the same packet as 'close'.
    const follows = this.#over || error !== null;
    const cut = this.#reset || !this.#sendLastWords();
    const due =
      this.#writing > 0 && session.writable ? session.bytesSent + session.bytesQueued : Number.POSITIVE_INFINITY;
    this.#destroyed = () => {
      const sent = session.bytesSent >= due;
      this.#completeWrite(
        sent ? undefined : (error ?? new IocpError('write', 'the stream was destroyed', 'ECANCELED', 'write')),
      );
      callback(error);
      const close = () => this.emit('close', error !== null);
      if (follows) afterTurn(close);
      else process.nextTick(close);
    };
    if (this.#over) this.#destroyed();
    // A reset right behind a write would cost the peer the bytes of that.
    else session[kClose](error ?? undefined, cut, !cut && this.#justSent && session[kSentAll]);
  }

  // net.Socket has these.

  get pending(): boolean {
    return this.destroyed;
  }

  get readyState(): 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  get bufferSize(): number | undefined {
    return this.destroyed ? undefined : this.writableLength;
  }

  get bytesRead(): number {
    return this.#session.bytesReceived;
  }

  get bytesWritten(): number {
    return this.#written + this.writableLength;
  }

  get remoteAddress(): string | undefined {
    return this.#remoteEnd?.address;
  }

  get remotePort(): number | undefined {
    return this.#remoteEnd?.port;
  }

  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyOf(this.#remoteEnd);
  }

  get localAddress(): string | undefined {
    return this.#localEnd?.address;
  }

  get localPort(): number | undefined {
    return this.#localEnd?.port;
  }

  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyOf(this.#localEnd);
  }

  address(): net.AddressInfo | Record<string, never> {
    const local = this.#localEnd;
    return local ? { address: local.address, family: familyOf(local)!, port: local.port } : {};
  }

  setNoDelay(on = true): this {
    this.#tune(() => this.#socket?.setOption('noDelay', on));
    return this;
  }

  setKeepAlive(on = false, delay = 0): this {
    this.#tune(() => this.#socket?.setOption('keepAlive', on ? Math.floor(delay / 1000) || SYSTEM_KEEP_ALIVE : 0));
    return this;
  }

  /** The timer is reused, since http sets and clears the timeout for each request. */
  setTimeout(delay: number, callback?: () => void): this {
    if (this.destroyed) return this;
    checkTimeout(delay, callback);
    this.timeout = delay;
    if (delay > 0 && delay !== this.#timerDelay) {
      clearTimeout(this.#timer);
      this.#timerDelay = delay;
      this.#timer = setTimeout(onIdle, Math.min(delay, LONGEST_TIMEOUT), this).unref();
    } else {
      this.#restartTimer();
    }
    if (callback !== undefined) {
      if (delay > 0) this.once('timeout', callback);
      else this.removeListener('timeout', callback);
    }
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  destroySoon(): void {
    this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  resetAndDestroy(): this {
    this.#reset = true;
    return this.destroy();
  }

  get #remoteEnd(): Endpoint | undefined {
    this.#remote ??= this.#session.remote;
    return this.#remote;
  }

  get #localEnd(): Endpoint | undefined {
    this.#local ??= this.#session.local;
    return this.#local;
  }

  /**
   * Passes the stream's buffered bytes to the session, unless all queued bytes are more than one send takes: they would be sent in
   * part, and a peer with unread bytes may take the following reset for an orderly end. False if bytes are lost.
   */
  #sendLastWords(): boolean {
    const left = this.writableLength - this.#writing;
    if (this.#session.bytesQueued + left > LAST_WORDS) return false;
    if (left > 0 && this.#session.writable) {
      for (const { chunk } of this._writableState.getBuffer()) this.#send(chunk);
    }
    return !this.#dropped;
  }

  #send(chunk: Buffer): void {
    const queued = this.#session.bytesQueued;
    this.#writing += chunk.length;
    this.#session.send(chunk);
    if (this.#session.bytesQueued < queued + chunk.length) this.#dropped = true;
  }

  /** Completes the write when everything is sent. If the session closes first, onDisconnected() completes it. */
  #awaitSent(callback: Callback): void {
    this.#restartTimer();
    this.#callback = callback;
    if (!this.#session.writable) return;
    // The queue's limit may drop a message. A stream must not go on after that: bytes would be missing.
    if (this.#dropped) this.#completeWrite(new IocpError('write', 'the session dropped it', 'ENOBUFS', 'write'));
    else if (this.#session[kSentAll]) this.#completeWrite();
  }

  #completeWrite(error?: Error): void {
    const callback = this.#callback;
    if (callback === null) return;
    this.#callback = null;
    if (error === undefined) this.#written += this.#writing;
    this.#writing = 0;
    try {
      callback(error);
    } catch (thrown) {
      surface(thrown);
    }
  }

  /** Listeners run within push(). If one throws, that is an uncaught exception, and not an error of the session. */
  #push(chunk: Buffer | null): boolean {
    try {
      return this.push(chunk);
    } catch (error) {
      surface(error);
      return true;
    }
  }

  #releaseKept(): void {
    for (const buffer of this.#keptBuffers) this.#session[kRelease](buffer);
    this.#kept.length = 0;
    this.#keptBuffers.length = 0;
    this.#keptBytes = 0;
  }

  #restartTimer(): void {
    if (this.timeout) this.#timer?.refresh();
  }

  /** Options are ignored on a connection that is gone, as with net.Socket. */
  #tune(set: () => void): void {
    try {
      if (!this.#over) set();
    } catch (error) {
      if (!isIocpError(error)) throw error;
    }
  }
}

/** The default of Linux and Windows, in seconds. */
const SYSTEM_KEEP_ALIVE = 7200;

function familyOf(endpoint: Endpoint | undefined): 'IPv4' | 'IPv6' | undefined {
  return endpoint && (endpoint.family === 6 ? 'IPv6' : 'IPv4');
}

/**
 * Calls `next` after the promises and ticks of the event just emitted, as between two events of a net.Socket: code after
 * `await once()` for one event can still add a listener for the next.
 */
function afterTurn(next: () => void): void {
  queueMicrotask(() => process.nextTick(next));
}

/** Throws errors with the codes of net.Socket's. */
function checkTimeout(delay: unknown, callback: unknown): void {
  if (typeof delay !== 'number') {
    throw codedError(TypeError, 'ERR_INVALID_ARG_TYPE', `the timeout must be a number, not ${typeof delay}`);
  }
  if (!(delay >= 0 && delay < Number.POSITIVE_INFINITY)) {
    throw codedError(RangeError, 'ERR_OUT_OF_RANGE', `the timeout must be finite and 0 or more, not ${delay}`);
  }
  if (callback !== undefined && typeof callback !== 'function') {
    throw codedError(TypeError, 'ERR_INVALID_ARG_TYPE', `the callback must be a function, not ${typeof callback}`);
  }
}

function codedError(type: new (message: string) => Error, code: string, reason: string): Error {
  return Object.assign(new type(`Cannot set the timeout: ${reason}`), { code });
}

function onIdle(stream: SessionSocket): void {
  if (stream.timeout) stream.emit('timeout');
}

/** See Session's [Symbol.asyncIterator](). */
export async function* chunksOf(stream: SessionSocket): AsyncGenerator<Buffer> {
  stream.isLoop = true;
  // An error after the loop is reported to onDisconnected only.
  stream.on('error', () => {});
  try {
    yield* stream.iterator({ destroyOnReturn: false });
  } finally {
    stream.resume();
    stream.end();
  }
}
