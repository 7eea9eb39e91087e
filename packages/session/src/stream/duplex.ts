// A session as a Node stream that behaves like a net.Socket, so that http, tls and everything that takes a socket serve
// sessions. Both ways have back-pressure:
//
//   session.onReceive -> copy -> push()     a full readable side pauses the session, and the kernel's window the peer
//   write() -> session.send()               a write calls back when the kernel has its last byte, and then the next one goes

import type net from 'node:net';
import { Duplex } from 'node:stream';
import { type Endpoint, IocpError, isIocpError, type PortSocket } from '@overlapped/iocp-native';
import { surface } from '../outcomes.js';
import type { Session } from '../session/session.js';
import { kClose, kEnd, kSentAll } from '../session/symbols.js';

/**
 * A session as a stream, which has members and events of a net.Socket with `allowHalfOpen`; set that to false, and the
 * stream ends when the peer does. destroy() drops what the kernel does not take at once, and then the peer sees a reset; so it
 * does of destroy(error), unless that follows right on a write.
 */
export interface SessionDuplex extends Duplex {
  /** A session is there only when it is connected. */
  readonly connecting: false;
  /** Whether the stream was destroyed. */
  readonly pending: boolean;
  /** Which ways are open: 'open', 'readOnly', 'writeOnly', or 'closed'. */
  readonly readyState: 'open' | 'readOnly' | 'writeOnly' | 'closed';
  /** `writableLength`; undefined once the stream is destroyed. */
  readonly bufferSize: number | undefined;
  /** Undefined once the connection is gone, unless they were asked for before. */
  readonly remoteAddress: string | undefined;
  /** As of `remoteAddress`. */
  readonly remotePort: number | undefined;
  /** As of `remoteAddress`. */
  readonly remoteFamily: 'IPv4' | 'IPv6' | undefined;
  /** This end; undefined as `remoteAddress` is. */
  readonly localAddress: string | undefined;
  /** As of `localAddress`. */
  readonly localPort: number | undefined;
  /** As of `localAddress`. */
  readonly localFamily: 'IPv4' | 'IPv6' | undefined;
  /** This end; `{}` where `localAddress` is undefined. */
  address(): net.AddressInfo | Record<string, never>;
  /** Also those that nobody has read yet. */
  readonly bytesRead: number;
  /** Also those that wait. */
  readonly bytesWritten: number;
  /** TCP_NODELAY; default true. Ignored once the connection is gone. */
  setNoDelay(on?: boolean): this;
  /** Milliseconds of idleness before the first probe; whole seconds count. Default, and below 1000: the system's 2 hours. */
  setKeepAlive(on?: boolean, delay?: number): this;
  /**
   * Milliseconds without a byte received or sent until 'timeout'; 0 for never, and at most 2^31 - 1. Throws a TypeError
   * (ERR_INVALID_ARG_TYPE) when `delay` is no number or `callback` no function, and a RangeError (ERR_OUT_OF_RANGE) when `delay`
   * is below 0, NaN or Infinity.
   */
  setTimeout(delay: number, callback?: () => void): this;
  /** Milliseconds, as setTimeout() has set them. */
  readonly timeout?: number;
  /** Ends, and closes as soon as everything is sent. */
  destroySoon(): void;
  /** Drops what waits; the peer sees a reset. */
  resetAndDestroy(): this;
  /** Nothing: a core keeps its process alive until it stops. */
  ref(): this;
  /** Nothing, as ref(). */
  unref(): this;
}

/** Bytes that are kept for a reader before the session is paused. That and resuming it cost two operations. */
const READ_AHEAD = 65_536;
/** Bytes that may wait in the stream and still go out as last words: what one send takes. */
const LAST_WORDS = 65_536;
/** The longest time that Node's timers take, in milliseconds. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

type Callback = (error?: Error | null) => void;

export class SessionSocket extends Duplex implements SessionDuplex {
  readonly connecting = false;
  timeout?: number;
  /** A loop over the session reads it, which sends by the session: so a stop may end it. */
  isLoop = false;
  /** Node's own: what waits in the stream is to be had in no other way. */
  declare readonly _writableState: { getBuffer(): readonly { readonly chunk: Buffer }[] };
  readonly #session: Session;
  /** Null if the session was over when the stream was taken. */
  readonly #socket: PortSocket | null;
  /** Of the write, or of the end, that is under way. */
  #callback: Callback | null = null;
  /** Bytes of the write that is under way, and of those that are over. */
  #writing = 0;
  #written = 0;
  /** Of _destroy(), while the session closes. */
  #destroyed: (() => void) | null = null;
  /** When the end came, nothing was left to send. */
  #allSent = false;
  /** The session did not queue what it was given. */
  #dropped = false;
  #reset = false;
  #peerEnded = false;
  /** The session has closed. */
  #over = false;
  #timer: NodeJS.Timeout | undefined;
  #timerDelay = 0;
  #remote: Endpoint | undefined;
  #local: Endpoint | undefined;

  constructor(session: Session, socket: PortSocket | null, writableHighWaterMark: number) {
    // 'close' is emitted here, as it says whether there was an error.
    super({ readableHighWaterMark: READ_AHEAD, writableHighWaterMark, emitClose: false });
    this.#session = session;
    this.#socket = socket;
  }

  // The session calls these.

  onReceive(data: Buffer): void {
    this.#active();
    if (!this.#push(Buffer.from(data))) this.#session.pause();
  }

  onSend(): void {
    this.#active();
    if (this.#session[kSentAll]) this.#settle();
  }

  /** All that the peer has sent was received. May be called again. */
  onEnd(): void {
    if (this.#peerEnded) return;
    this.#peerEnded = true;
    afterTurn(() => {
      if (this.destroyed) return;
      this.#push(null);
      // Without it a stream that is not read would never say 'end', although nothing is left to read.
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
    if (finishes) this.#settle();
    // After an orderly end the stream destroys itself, when what it has is read.
    if (!error && this.#peerEnded && this.writableEnded && this.#callback === null) return;
    if (finishes) afterTurn(() => this.destroy(error));
    else this.destroy(error);
  }

  // Duplex calls these.

  override _read(): void {
    this.#session.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#send(chunk);
    this.#wait(callback);
  }

  /** What was written while corked, or while another write was under way, goes in one send. */
  override _writev(chunks: readonly { readonly chunk: Buffer }[], callback: Callback): void {
    for (const { chunk } of chunks) this.#send(chunk);
    this.#wait(callback);
  }

  override _final(callback: Callback): void {
    this.#callback = callback;
    this.#allSent = this.#session.writable && this.#session[kSentAll];
    this.#session[kEnd]();
    // Later, as with net.Socket: who destroys right after end() sees no 'finish'.
    if (this.#allSent) process.nextTick(() => this.#settle());
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    const session = this.#session;
    // 'finish', 'end' or 'error' comes out of the same packet as 'close'.
    const follows = this.#over || error !== null;
    const cut = this.#reset || !this.#sendLastWords();
    const due =
      this.#writing > 0 && session.writable ? session.bytesSent + session.bytesQueued : Number.POSITIVE_INFINITY;
    this.#destroyed = () => {
      const sent = session.bytesSent >= due;
      this.#settle(
        sent ? undefined : (error ?? new IocpError('write', 'the stream was destroyed', 'ECANCELED', 'write')),
      );
      callback(error);
      const close = () => this.emit('close', error !== null);
      if (follows) afterTurn(close);
      else process.nextTick(close);
    };
    if (this.#over) this.#destroyed();
    else session[kClose](error ?? undefined, cut);
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
    this.#tune(() => this.#socket?.setNoDelay(on));
    return this;
  }

  setKeepAlive(on = false, delay = 0): this {
    this.#tune(() => this.#socket?.setKeepAlive(on ? Math.floor(delay / 1000) || SYSTEM_KEEP_ALIVE : 0));
    return this;
  }

  /** One timer serves all the times that it is set: http sets and unsets it for each request. */
  setTimeout(delay: number, callback?: () => void): this {
    if (this.destroyed) return this;
    checkTimeout(delay, callback);
    this.timeout = delay;
    if (delay > 0 && delay !== this.#timerDelay) {
      clearTimeout(this.#timer);
      this.#timerDelay = delay;
      this.#timer = setTimeout(onIdle, Math.min(delay, LONGEST_TIMEOUT), this).unref();
    } else {
      this.#active();
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
   * Gives the session what waits in the stream, unless that is more than one send takes with what waits there: it would be
   * cut, and a peer that has unread bytes may take a reset for an end. False when something is lost.
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

  /** A session that closes meanwhile settles what is under way when it is over. */
  #wait(callback: Callback): void {
    this.#active();
    this.#callback = callback;
    if (!this.#session.writable) return;
    // A message may be dropped, but a stream that goes on after that would have a hole.
    if (this.#dropped) this.#settle(new IocpError('write', 'the session dropped it', 'ENOBUFS', 'write'));
    else if (this.#session[kSentAll]) this.#settle();
  }

  #settle(error?: Error): void {
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

  /** Listeners run in here. One that throws has a bug, which is not for the session to handle. */
  #push(chunk: Buffer | null): boolean {
    try {
      return this.push(chunk);
    } catch (error) {
      surface(error);
      return true;
    }
  }

  #active(): void {
    if (this.timeout) this.#timer?.refresh();
  }

  /** Options are lost on a connection that is gone, as with net.Socket. */
  #tune(set: () => void): void {
    try {
      if (!this.#over) set();
    } catch (error) {
      if (!isIocpError(error)) throw error;
    }
  }
}

/** Seconds that Linux and Windows wait by default. */
const SYSTEM_KEEP_ALIVE = 7200;

function familyOf(endpoint: Endpoint | undefined): 'IPv4' | 'IPv6' | undefined {
  return endpoint && (endpoint.family === 6 ? 'IPv6' : 'IPv4');
}

/**
 * Calls `next` when the promises and ticks that wait for what was just emitted have had their turn, as they have between two
 * events of a net.Socket: with `await once()` for the one event, a listener for the next is in time.
 */
function afterTurn(next: () => void): void {
  queueMicrotask(() => process.nextTick(next));
}

/** Throws what net.Socket throws, by its code. */
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
  // What fails after the loop goes to onDisconnected alone.
  stream.on('error', () => {});
  try {
    yield* stream.iterator({ destroyOnReturn: false });
  } finally {
    stream.resume();
    stream.end();
  }
}
