// Session: one connection. It owns a socket, its receive stream and its send queue, and turns their packets into calls
// of its handlers. Use it by subclassing, or through an object of handlers (handlers.ts).

import assert from 'node:assert';
import { AsyncResource } from 'node:async_hooks';
import type { FileHandle } from 'node:fs/promises';
import { type CompletionPacket, IocpError, isIocpError, Operation, type PortSocket } from '@overlapped/iocp-native';
import { lengthOf as lengthOfArray } from '@overlapped/iocp-native/internal';
import { type Exchange, type IocpCore, onCompletion, onFlush, Stat } from '@overlapped/net-core';
import type { Introduction } from '../accept/proxy-handshake.js';
import { bytesOf, lend, ownCopy } from '../bytes.js';
import { report, warn } from '../failures.js';
import { asError, isThenable } from '../outcomes.js';
import { type SessionDuplex, SessionSocket } from '../stream/duplex.js';
import { attachSocket } from './connection.js';
import { type FileRange, FileSend } from './file-send.js';
import { closeMember, openMember } from './member.js';
import { SendQueue } from './send-queue.js';
import { cutShort, SessionBase, unfinished } from './session-base.js';
import { type SessionEvent, takeEvent } from './session-event.js';
import type { SessionHost } from './session-set.js';
import {
  AWAITS_DRAIN,
  CLOSING,
  CONGESTED,
  DIRTY,
  DROPPED,
  END_TOLD,
  ENDING,
  FAILED,
  HELD_BACK,
  KEPT,
  OPENED,
  PAUSED,
  PEER_ENDED,
  SATED,
  SHUT,
  THROTTLED,
  UNTAKEN,
} from './session-state.js';

// Where the core's statistics lie.
const { bytesReceived: RECEIVED, bytesSent: SENT } = Stat;

/** What is kept at most for a stream that is taken later: bytes, and pieces of them. */
const MOST_KEPT = 65_536;
const MOST_KEPT_PIECES = 64;

type Start = [
  core: IocpCore,
  socket: PortSocket,
  host: SessionHost,
  introduction: Introduction | null,
  context: AsyncResource,
  own: boolean,
];

let openSession: (session: Session, ...start: Start) => void;
/** Whether bytes of the peer are waited for. */
let isReceiving: (session: Session) => boolean;
/** Whether bytes that are here are handed out. */
let isDelivering: (session: Session) => boolean;
/** Whether it has had no connection yet. */
let isUnused: (session: Session) => boolean;
let isIdle: (session: Session) => boolean;
/** Bytes of the peer that are here, those that are kept included. */
let arrived: (session: Session) => number;
/** The time is over for which the session waits for a stream, or for its handlers. */
let endWait: (session: Session) => void;
/** Whether it is used as a stream, by more than a loop over it. */
let isStream: (session: Session) => boolean;
let unread: (session: Session, rest: Buffer) => void;
/** @internal */
let sendMessage: (session: Session, exchange: Exchange, message: number, offset: number, length: number) => void;
/** For its stream. `cut`: some of it is lost. */
let endSession: (session: Session) => void;
/** What a handler gave back: a promise may reject. */
let follow: (session: Session, result: unknown) => void;
let closeSession: (session: Session, error: Error | undefined, cut: boolean) => void;

/**
 * One connection. Override the handlers that you need; all of it runs on the thread of the core. A handler that throws, or
 * whose promise rejects, closes its own session with that error. It is counted (`failed` of the core's statistics), published
 * in the diagnostics channel `overlapped:session-failed`, and told in a process warning when onDisconnected is not
 * overridden, or has been called already.
 */
export class Session extends SessionBase {
  #state = 0;
  #core: IocpCore | null = null;
  #socket: PortSocket | null = null;
  #host: SessionHost | null = null;
  #receiveEvent: SessionEvent | null = null;
  #sendEvent: SessionEvent | null = null;
  #queue: SendQueue | null = null;
  /** Copies of what came while the session was paused: no slow session keeps receive buffers from the others. */
  #held: Buffer[] | null = null;
  #error: Error | undefined = undefined;
  /** Handlers whose promises have not settled. */
  #pending = 0;
  #stream: SessionSocket | null = null;
  /**
   * The async context of its handlers and of its stream's events: that of the listen() or connect() that it comes from. Null
   * until the first of them runs, as idle connections are many.
   */
  #context: AsyncResource | null = null;

  static {
    openSession = (session, ...start) => session.#open(...start);
    isReceiving = (session) => (session.#state & (OPENED | HELD_BACK | PEER_ENDED | CLOSING)) === OPENED;
    isDelivering = (session) => (session.#state & (KEPT | CLOSING)) === 0;
    isIdle = (session) => session.#queue === null || session.#queue.idle;
    isUnused = (session) => session.#core === null;
    arrived = (session) => session.bytesReceived + lengthOf(session.#held);
    endWait = (session) => session.#endWait();
    isStream = (session) => session.#stream !== null && !session.#stream.isLoop;
    unread = (session, rest) => session.#unread(rest);
    sendMessage = (session, ...message) => session.#sendMessage(...message);
    endSession = (session) => session.#end();
    follow = (session, result) => session.#follow(result);
    closeSession = (session, error, cut) => session.#closeStream(error, cut);
  }

  /**
   * Queues bytes. Everything that was queued by the end of the handler goes in one operation. Bytes of up to 16,384 are
   * copied (or kept, if borrowed) at once; a larger array is the session's until it is sent, and must not change.
   * False when the queue is above the high watermark (the bytes are queued all the same; wait for onDrain), when its limit
   * forbids (see QueueLimitOptions), or when the session takes no more (`writable` is false; the bytes are dropped).
   */
  send(data: Uint8Array | string): boolean {
    if ((this.#state & (OPENED | ENDING | CLOSING)) !== OPENED) return false;
    this.#queue ??= new SendQueue(this.#core!);
    const queue = this.#queue;
    const { queueLimit, highWatermark } = this.#host!;
    const bytes = bytesOf(data);
    const length = lengthOfArray(bytes);
    this.#flushSoon();
    const full = queueLimit !== null && !queueLimit.admits(queue.bytes, length);
    const dropped = full && !queueLimit.exceeded(this);
    if (full && !dropped) this.#holdBack(THROTTLED);
    if (!dropped) queue.push(bytes, length);
    if (!dropped && queue.bytes <= highWatermark) return true;
    this.#state |= CONGESTED;
    return false;
  }

  /**
   * Queues a file, which goes out after what was queued before and ahead of what comes after. Resolves with its bytes when
   * the kernel has taken them all. Rejects with what fs says (ENOENT ...), or with an IocpError: ENODATA for a range that
   * the file does not have, EINVAL for what is no file or no range, ENOTSUP on a named pipe, EPIPE when the session takes
   * no more or ends before. Nothing of the file is sent then, and the session goes on; but one that gets shorter on its way
   * ends the session (ENODATA), as the peer would take for the file what comes next. A FileHandle stays the caller's, and
   * must stay open until then.
   */
  sendFile(file: string | FileHandle, range?: FileRange): Promise<number> {
    if (this.writable) this.#queue ??= new SendQueue(this.#core!);
    return FileSend.queue(this.writable ? this.#queue : null, () => this.#flushSoon(), file, range);
  }

  /** Whether send() takes bytes. */
  get writable(): boolean {
    return (this.#state & (OPENED | ENDING | CLOSING)) === OPENED;
  }

  /** Bytes that wait to be sent or are being sent. */
  get bytesQueued(): number {
    return this.#queue?.bytes ?? 0;
  }

  /** Stops onReceive; the kernel's window then holds the peer back. What has come already is kept. */
  pause(): void {
    this.#holdBack(PAUSED);
  }

  /** Undoes pause(). onReceive is not called before this returns. */
  resume(): void {
    if ((this.#state & PAUSED) === 0) return;
    this.#state &= ~PAUSED;
    if ((this.#state & CLOSING) === 0) this.#flushSoon();
  }

  /**
   * Sends `data` and all that waits, then half-closes. The session closes when the peer has ended too. When the peer ends
   * first, the session ends by itself, unless `allowHalfOpen` is set: see onEnd().
   */
  end(data?: Uint8Array | string): void {
    if (data !== undefined) this.send(data);
    // What was written to the stream, and has not come here yet, goes first.
    if (this.#stream !== null) this.#stream.end();
    else this.#end();
  }

  /** Closes at once: what waits is dropped and the peer sees a reset. `error` goes to onDisconnected. */
  destroy(error?: Error): void {
    if ((this.#state & (OPENED | CLOSING)) === OPENED) this.#close(error, true);
  }

  /**
   * The session as a stream like net.Socket, to be had from onConnected on; the same one each time. It takes the place of
   * onReceive, onEnd, onSend and onDrain; onDisconnected is still called. The session stays open when the peer ends, until
   * the stream is ended, too. Write to the stream then, and not to the session. What comes before is kept, when there is
   * none of these handlers: up to 64 KiB, and for 10 seconds. A stream that is taken later than that fails with ENODATA.
   */
  toDuplex(): SessionDuplex {
    assert(this.#host !== null, 'toDuplex() before onConnected');
    if (this.#stream === null) {
      this.#stream = new SessionSocket(this, this.#socket!, this.#host.highWatermark);
      this.#taken();
      if ((this.#state & OPENED) === 0) this.#stream.onDisconnected(this.#error);
      else if ((this.#state & DROPPED) !== 0) this.#stream.destroy(takenLate());
      else if ((this.#state & ENDING) !== 0) this.#stream.end();
    }
    return this.#stream;
  }

  /** For the core: a packet of one of this session's operations. @internal */
  [onCompletion](packet: CompletionPacket): void {
    (this.#context ?? this.#makeContext()).runInAsyncScope(this.#complete, this, packet);
  }

  /** For the core: does what was put off to the end of the batch. @internal */
  [onFlush](): boolean {
    if (this.#held === null && (this.#state & (PEER_ENDED | AWAITS_DRAIN)) === 0) {
      this.#flush();
      return false;
    }
    (this.#context ?? this.#makeContext()).runInAsyncScope(this.#flush, this);
    return true;
  }

  #complete(packet: CompletionPacket): void {
    switch (packet.operation) {
      case Operation.Receive:
        if (packet.data !== null) this.#received(packet.data, packet.buffer);
        else this.#receiveEnded(packet.error);
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

  #flush(): void {
    this.#state &= ~DIRTY;
    if (this.#held !== null) this.#deliverHeld();
    if ((this.#state & CLOSING) !== 0) return;
    if ((this.#state & (HELD_BACK | PEER_ENDED)) === 0 && this.#receiveEvent === null) this.#receive();
    if ((this.#state & PEER_ENDED) !== 0 && this.#held === null) this.#tellEnd();
    if (this.#sendEvent !== null || (this.#state & CLOSING) !== 0) return;
    if (!isIdle(this)) this.#startSend();
    else if ((this.#state & AWAITS_DRAIN) !== 0) this.#relieve();
    else this.#finish();
  }

  #open(...[core, socket, host, introduction, context, own]: Start): void {
    this.#core = core;
    this.#socket = socket;
    this.#host = host;
    if (own || this.onConnected !== Session.prototype.onConnected) this.#context = context;
    this.#state = OPENED;
    socket.key = this;
    attachSocket(this, socket, introduction?.source);
    openMember(this, core);
    this.#held = introduction?.rest ?? null;
    if (host.group !== null) this.join(host.group);
    if (this.#held !== null) this.#flushSoon();
    context.runInAsyncScope(this.#run, this, () => this.onConnected());
    if (this.#stream === null && hasNoHandler(this)) this.#state |= UNTAKEN;
    if ((this.#state & (HELD_BACK | CLOSING)) === 0) this.#receive();
  }

  #makeContext(): AsyncResource {
    this.#context = this.#host!.context.runInAsyncScope(newContext);
    return this.#context;
  }

  #receive(): void {
    const event = takeEvent(this.#core!, this, Operation.Receive);
    this.#receiveEvent = event;
    this.#core!.port.receive(this.#socket!, event);
  }

  #received(data: Buffer, buffer: number): void {
    const core = this.#core!;
    if ((this.#state & (KEPT | CLOSING)) === 0 && this.#held === null) {
      core.delivered = data;
      core.deliveredBuffer = buffer;
      lend(data);
      this.#deliver(data);
      core.delivered = null;
      core.deliveredBuffer = -1;
      lend(null);
    } else if ((this.#state & CLOSING) === 0) {
      this.#held ??= [];
      this.#held.push(ownCopy(data));
      if ((this.#state & UNTAKEN) !== 0) this.#keep(this.#held);
    }
    try {
      core.port.release(buffer);
    } catch (error) {
      // A handler has released it already, which is misuse: it costs that session.
      this.#fail(error);
    }
  }

  /** Bytes have come, and there is nothing yet that takes them. */
  #keep(held: Buffer[]): void {
    // A handler may be given to one session at any time.
    if (!hasNoHandler(this)) {
      this.#taken();
      return;
    }
    this.#host!.waits(this);
    if (held.length >= MOST_KEPT_PIECES || lengthOf(held) >= MOST_KEPT) this.#holdBack(SATED);
  }

  /** There is a stream, or nothing has come for one in time: what is kept is handed out. */
  #taken(): void {
    if ((this.#state & UNTAKEN) === 0) return;
    this.#state &= ~(UNTAKEN | SATED);
    this.#host!.goesOn(this);
    if ((this.#state & (OPENED | CLOSING)) === OPENED) this.#flushSoon();
  }

  #endWait(): void {
    if ((this.#state & UNTAKEN) !== 0) {
      // The base's onReceive drops them.
      if (hasNoHandler(this)) this.#state |= DROPPED;
      this.#taken();
    } else if ((this.#state & (PEER_ENDED | ENDING | CLOSING)) === PEER_ENDED && this.#stream === null) {
      this.#close(answeredLate(), true);
    }
  }

  #deliver(data: Buffer): void {
    this.bytesReceived += data.length;
    this.#core!.statsBlock.values[RECEIVED]! += data.length;
    try {
      const result = (this.#stream ?? this).onReceive(data);
      if (result !== undefined) this.#follow(result);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Takes back the end of what onReceive was just handed. It is handed out again, before anything else. */
  #unread(rest: Buffer): void {
    if ((this.#state & CLOSING) !== 0 || rest.length === 0) return;
    this.bytesReceived -= rest.length;
    this.#core!.statsBlock.values[RECEIVED]! -= rest.length;
    this.#held ??= [];
    // What is held already is a copy.
    this.#held.unshift(this.#core!.delivered === null ? rest : ownCopy(rest));
  }

  #deliverHeld(): void {
    const held = this.#held!;
    // One event of the stream, as for one packet: promises have no turn between events that are emitted from here.
    if (this.#stream !== null && held.length > 1) held.splice(0, held.length, Buffer.concat(held));
    while (held.length > 0 && (this.#state & (KEPT | CLOSING)) === 0) this.#deliver(held.shift()!);
    if (held.length === 0) this.#held = null;
  }

  /** The last packet of the receive stream: the peer's FIN, pause(), or a failure. */
  #receiveEnded(error: IocpError | null): void {
    this.#core!.events.release(this.#receiveEvent!);
    this.#receiveEvent = null;
    if ((this.#state & CLOSING) !== 0) return;
    if (error === null) {
      this.#state |= PEER_ENDED;
      if (!this.#host!.allowHalfOpen) this.#host!.ending(this);
    } else if (error.code !== 'ECANCELED') this.#close(error, true);
    this.#flushSoon();
  }

  #startSend(): void {
    const { file } = this.#queue!;
    if (file !== null && !file.open) return; // It flushes when it is open.
    const pieces = file === null ? this.#queue!.gather() : null;
    if (file === null && pieces === null) {
      if (this.#queue!.gone === null) this.#core!.awaitSendBuffer(this);
      else this.#close(this.#queue!.gone, true);
      return;
    }
    const event = takeEvent(this.#core!, this, Operation.Send);
    this.#sendEvent = event;
    if (pieces !== null) this.#core!.port.send(this.#socket!, event, pieces);
    else file!.start(this.#core!.port, this.#socket!, event);
  }

  #sent(bytes: number, error: IocpError | null): void {
    const queue = this.#queue!;
    this.#core!.events.release(this.#sendEvent!);
    this.#sendEvent = null;
    this.bytesSent += bytes;
    this.#core!.statsBlock.values[SENT]! += bytes;
    const failure = queue.sent(bytes, error);
    if ((this.#state & CLOSING) !== 0) return;
    if (failure !== null) {
      this.#close(failure, true);
      return;
    }
    if (!queue.idle || (this.#state & (ENDING | PEER_ENDED)) !== 0) this.#flushSoon();
    try {
      const result = (this.#stream ?? this).onSend(bytes);
      if (result !== undefined) this.#follow(result);
    } catch (thrown) {
      this.#fail(thrown);
    }
    if ((this.#state & AWAITS_DRAIN) !== 0 && queue.bytes <= this.#host!.lowWatermark) this.#relieve();
  }

  /** The queue has drained: goes on with what waited for that. */
  #relieve(): void {
    const before = this.#state;
    this.#state &= ~AWAITS_DRAIN;
    this.#flushSoon();
    if ((before & (CONGESTED | CLOSING)) !== CONGESTED) return;
    if (this.#stream === null) this.#run(() => this.onDrain());
  }

  #holdBack(why: typeof PAUSED | typeof THROTTLED): void {
    if ((this.#state & (why | CLOSING)) !== 0) return;
    this.#state |= why;
    if (this.#receiveEvent !== null) this.#core!.port.cancel(this.#socket!, this.#receiveEvent);
  }

  /** All that the peer has sent was handed out. */
  #tellEnd(): void {
    if (this.#stream !== null) {
      this.#stream.onEnd();
      return;
    }
    if ((this.#state & END_TOLD) !== 0) return;
    this.#state |= END_TOLD;
    // A peer that ends in the middle of a frame has not ended in order.
    if (this[unfinished]() === 0) this.#run(() => this.onEnd());
  }

  /** Whether the session goes on for a while after the peer's end. */
  #outlivesPeer(): boolean {
    if ((this.#state & ENDING) !== 0) return false;
    if (this.#stream !== null || (this.#host!.allowHalfOpen && this[unfinished]() === 0)) return true;
    if (this.#pending === 0) return false;
    this.#host!.waits(this);
    return true;
  }

  /** Everything is sent: takes the next step of ending, if there is one. */
  #finish(): void {
    if ((this.#state & PEER_ENDED) !== 0 && this.#held === null) {
      if (!this.#outlivesPeer()) this.#close(this[cutShort](), false);
    } else if ((this.#state & (ENDING | SHUT)) === ENDING) {
      this.#state |= SHUT;
      this.#core!.port.shutdown(this.#socket!);
    }
  }

  #shutDown(error: IocpError | null): void {
    if ((this.#state & CLOSING) !== 0) return;
    // A named pipe ends as a whole, or the peer would wait for an end that cannot come.
    if (error?.code === 'ENOTSUP') this.#close(undefined, false);
    // ENOTCONN: the peer has reset the connection meanwhile, which the receive stream tells better.
    else if (error !== null && error.code !== 'ENOTCONN') this.#close(error, true);
  }

  #end(): void {
    if ((this.#state & (OPENED | ENDING | CLOSING)) !== OPENED) return;
    this.#state |= ENDING;
    this.#host!.ending(this);
    this.#flushSoon();
  }

  /**
   * Resets when something is lost, and on an error, unless there are last words: those go if the kernel takes them at once.
   * @param late what follows on a send has waited for its packet
   */
  #closeStream(error: Error | undefined, cut: boolean, late = false): void {
    if ((this.#state & (OPENED | CLOSING)) !== OPENED) return;
    const lastWords = late || !(cut || isIdle(this));
    if (lastWords && !late && this.#sendEvent !== null && this.#queue!.file === null && this.#queue!.waits) {
      // The kernel may have taken that send long ago: then its packet is in the queue by now, ahead of this one.
      this.#core!.post({ onPost: () => this.#closeStream(error, false, true) }, undefined);
      return;
    }
    if (lastWords && this.#sendEvent === null && !isIdle(this)) this.#startSend();
    // A send that is in flight and is cut short resets by itself.
    this.#close(error, cut || (lastWords ? (this.#queue?.waits ?? false) : error !== undefined));
  }

  #close(error: Error | undefined, reset: boolean): void {
    this.#state |= CLOSING;
    this.#error = error;
    this.#queue?.discard();
    this.#held = null;
    this.#core!.port.close(this.#socket!, reset);
  }

  #sendMessage(exchange: Exchange, message: number, offset: number, length: number): void {
    if (!this.writable || !this.#host!.takesMessage(this, length)) return;
    this.#queue ??= new SendQueue(this.#core!);
    this.#queue.pushMessage(exchange, message, offset, length);
    this.#flushSoon();
  }

  #closed(): void {
    closeMember(this);
    this.#host!.closed(this, this.#error);
    this.#state &= ~OPENED;
    attachSocket(this, null);
    const failed = (this.#state & FAILED) !== 0;
    if (failed && this.onDisconnected === Session.prototype.onDisconnected) {
      warn(this.#core!, 'A session was closed, as its handler failed', this.#error);
    }
    // What a handler threw is no failure of the stream: one that has no listener for errors must not end the process for it.
    const quiet = failed && this.#stream?.listenerCount('error') === 0;
    this.#stream?.onDisconnected(quiet ? undefined : this.#error);
    this.#runLast();
  }

  /** Runs a handler that is not called for each packet. */
  #run(handler: () => unknown): void {
    try {
      this.#follow(handler());
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Runs onDisconnected, which has no session left to close. */
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

  #follow(result: unknown): void {
    if (!isThenable(result)) return;
    this.#pending++;
    result.then(
      () => this.#settled(),
      (thrown: unknown) => {
        this.#fail(thrown);
        this.#settled();
      },
    );
  }

  /** The session may have waited for this handler to answer. */
  #settled(): void {
    this.#pending--;
    if (this.#pending === 0 && (this.#state & (OPENED | PEER_ENDED | CLOSING)) === (OPENED | PEER_ENDED))
      this.#flushSoon();
  }

  /** A handler has failed. That closes the session with the error; one that closes already has nobody else to tell. */
  #fail(thrown: unknown): void {
    const error = asError(thrown);
    const open = (this.#state & (OPENED | CLOSING)) === OPENED;
    if (!open && followsFromEnd(error, this.#error)) return;
    report(this.#core!, this, error);
    if (open) {
      this.#state |= FAILED;
      // A subclass may have one of its own.
      this.destroy(error);
    } else {
      warn(this.#core!, 'A handler failed when its session was over, or about to be', error);
    }
  }

  #flushSoon(): void {
    if ((this.#state & DIRTY) !== 0) return;
    this.#state |= DIRTY;
    this.#core!.flushSoon(this);
  }
}

/** Whether a handler that waits was only told, by what it waited for, that its session is over. */
function followsFromEnd(error: Error, why: Error | undefined): boolean {
  return error === why || isIocpError(error) || String((error as NodeJS.ErrnoException).code).startsWith('ERR_STREAM_');
}

function newContext(): AsyncResource {
  return new AsyncResource('OverlappedSession');
}

/** Whether it has none of the handlers that a stream takes the place of: then a stream may be taken later. */
function hasNoHandler(session: Session): boolean {
  const { onReceive, onEnd, onSend, onDrain } = Session.prototype;
  const { onReceive: receives, onEnd: ends, onSend: sends, onDrain: drains } = session;
  return receives === onReceive && ends === onEnd && sends === onSend && drains === onDrain;
}

function lengthOf(pieces: readonly Buffer[] | null): number {
  let length = 0;
  if (pieces !== null) for (const piece of pieces) length += piece.length;
  return length;
}

function takenLate(): IocpError {
  return new IocpError('read', 'bytes that came before the stream was taken were dropped', 'ENODATA', 'read');
}

function answeredLate(): IocpError {
  return new IocpError('answer the peer', 'it has ended, and a handler took too long', 'ETIMEDOUT', 'shutdown');
}

/** @internal */
export {
  arrived,
  closeSession,
  endSession,
  endWait,
  follow,
  isDelivering,
  isIdle,
  isReceiving,
  isStream,
  isUnused,
  newContext,
  openSession,
  sendMessage,
  unread,
};
