// SharedSession: a session whose handlers run in whichever thread took its packet. Users subclass it, in a module of its own. An
// instance is a view: a thread takes it from a pool and binds it to a session for one turn.

import assert from 'node:assert';
import { AsyncResource } from 'node:async_hooks';
import type { Endpoint } from '@overlapped/iocp-native';
import { debugging } from '@overlapped/iocp-native/internal';
import type { SharedSessions } from '@overlapped/net-core';
import { bytesOf } from '../bytes.js';
import type { Framer } from '../framing/framer.js';
import { EVERYONE } from '../session/groups.js';
import {
  type BindableState,
  kBind as bindState,
  type StateOf,
  type StateSchema,
  kUnbind as unbindState,
} from './state/layout.js';

/** The members of the thread, or of the core, that a view calls. */
export interface TurnHost extends SharedSessions {
  sendTo(slot: number, id: number, bytes: Uint8Array): boolean;
  /** Sends a frame: no other thread's bytes come between its parts. Throws a RangeError for a body that has no frame. */
  sendFrame(slot: number, id: number, framer: Framer, body: Uint8Array): boolean;
  end(slot: number, id: number): void;
  join(slot: number, group: string): void;
  leave(slot: number, group: string): void;
  broadcast(data: Uint8Array | string, group: string): boolean;
  /** Ends the session of the turn at once. */
  destroy(view: SharedSession, error: Error | undefined): void;
  queued(slot: number): number;
  endpoint(slot: number, which: 'remote' | 'local'): Endpoint | undefined;
}

// For the hosts of turns.
/** The view gets its state. */
export const kAttach = Symbol('attach');
export const kBind = Symbol('bind');
export const kUnbind = Symbol('unbind');
export const kSlot = Symbol('slot');
export const kError = Symbol('error');
export const kFramer = Symbol('framer');
export const kSendFrame = Symbol('sendFrame');
export const kContext = Symbol('context');

/**
 * One connection that any worker thread of the core serves. Handlers of one session run one at a time, in order, an async one
 * until its promise settles; those of different sessions run at the same time, in different threads. A handler may block its
 * thread: another thread then runs in its place.
 *
 * The object is valid for one turn: a handler, until it returns or its promise settles. It has no fields of its own; what a
 * session is to keep lies in shared memory. Keep `id` to reach the session later. In debug mode an object that is used after
 * its turn throws, and so does one that is given a field.
 */
export class SharedSession<Schema extends StateSchema = StateSchema> {
  /** The fields that each session keeps in shared memory, by name: `{ score: u32, name: text(24) }`. Zeroed for each connection. */
  static state?: StateSchema;
  /** The fields that the static `state` declares. */
  declare readonly state: StateOf<Schema>;
  #host: TurnHost | null = null;
  #slot = -1;
  #id = -1;
  #view: BindableState | null = null;
  #stateSize = 0;
  /** Debug mode: where the turn ended. */
  #turn: Error | null = null;
  /** The error of destroy(), or of a handler. @internal */
  [kError]: Error | undefined = undefined;
  /** Cuts received bytes into frames; null if onReceive is called. @internal */
  [kFramer]: Framer | null = null;
  /** The async context of the turn: a store that one session enters with enterWith() must not reach the next one. @internal */
  [kContext]: AsyncResource | null = null;

  // Handlers, for subclasses to override.

  /** The connection is open. Nothing has been received yet. */
  onConnected(): unknown {
    return undefined;
  }

  /**
   * Bytes have arrived. `data` is borrowed: it is valid until this returns, or, in an async handler, until its first await.
   * The next bytes are received when this has returned, and its promise has settled.
   */
  onReceive(data: Buffer): unknown;
  onReceive(): unknown {
    return undefined;
  }

  /**
   * The peer has ended its direction, and onReceive has been given all bytes. When this has returned, and its promise has settled, the
   * session closes as soon as its queue is empty; with `allowHalfOpen` it stays open for sending, until end() is called. It is not
   * called with `linger: 0`, which resets at once (with `allowHalfOpen` it is).
   */
  onEnd(): unknown {
    return undefined;
  }

  /** After a send that returned false: the queue has drained to the low watermark. */
  onDrain(): unknown {
    return undefined;
  }

  /** Another session, or the core, has told this one something: see {@link SharedSessions.tell}. `message` is a copy. */
  onMessage(message: Buffer): unknown;
  onMessage(): unknown {
    return undefined;
  }

  /**
   * The session is over: the last handler to run. `error` is the reason, undefined after an orderly end: an IocpError, the error that a
   * handler threw, or the argument of destroy().
   */
  onDisconnected(error?: Error): unknown;
  onDisconnected(): unknown {
    return undefined;
  }

  /** The name of the session in all threads, for ever: a whole number below 2^53. */
  get id(): number {
    void this.#bound;
    return this.#id;
  }

  /** Reaches other sessions by their ids. */
  get core(): SharedSessions {
    return this.#bound;
  }

  /**
   * Sends bytes: the kernel takes them at once, or they are copied and sent when the socket is writable. False if the queue is
   * above the high watermark (the bytes are queued; wait for onDrain), if the queue's limit forbids it (see QueueLimitOptions), or if
   * the session takes no more bytes (they are dropped).
   */
  send(data: Uint8Array | string): boolean {
    return this.#bound.sendTo(this.#slot, this.#id, bytesOf(data));
  }

  /** Sends `data` and all queued bytes, then half-closes. The session closes when the peer has ended too. See onEnd(). */
  end(data?: Uint8Array | string): void {
    const host = this.#bound;
    if (data !== undefined) host.sendTo(this.#slot, this.#id, bytesOf(data));
    host.end(this.#slot, this.#id);
  }

  /**
   * Joins a group: broadcast() to the group reaches this session, until it leaves or is over. Throws a RangeError for a name of more
   * than 1,024 bytes, and an IocpError: ENOBUFS if 4,096 other groups have members, EBUSY as the README's table of errors says.
   */
  join(group: string): void {
    this.#bound.join(this.#slot, group);
  }

  /** Leaves a group. Does nothing if the session is not in it. Throws as join() does. */
  leave(group: string): void {
    this.#bound.leave(this.#slot, group);
  }

  /**
   * Sends bytes to all shared sessions of the core, or to those that joined `group`, this session included: straight to the sockets,
   * from this thread. A session whose queue is above its high watermark is skipped. Broadcasts of one thread arrive in order. It also
   * works in onDisconnected. Sessions that are not shared are reached by `broadcast(core, data, group)` alone.
   */
  broadcast(data: Uint8Array | string, group = EVERYONE): boolean {
    return this.#bound.broadcast(data, group);
  }

  /** Closes at the end of this turn: queued bytes are dropped, and the peer sees a reset. `error` goes to onDisconnected. */
  destroy(error?: Error): void {
    this.#bound.destroy(this, error);
  }

  /** Bytes that wait to be sent. */
  get bytesQueued(): number {
    return this.#bound.queued(this.#slot);
  }

  /** The peer; behind a trusted proxy, the client. Undefined once the connection is gone. Each access asks the operating system. */
  get remote(): Endpoint | undefined {
    return this.#bound.endpoint(this.#slot, 'remote');
  }

  /** This end of the connection. Undefined as `remote` is. */
  get local(): Endpoint | undefined {
    return this.#bound.endpoint(this.#slot, 'local');
  }

  /** @internal */
  [kSendFrame](data: Uint8Array | string): boolean {
    return this.#bound.sendFrame(this.#slot, this.#id, this[kFramer]!, bytesOf(data));
  }

  /** @internal */
  get [kSlot](): number {
    return this.#slot;
  }

  /** @internal */
  [kAttach](view: BindableState, size: number): void {
    Object.defineProperty(this, 'state', { value: view });
    this.#view = view;
    this.#stateSize = size;
    if (debugging) Object.seal(this);
  }

  /** @internal */
  [kBind](host: TurnHost, slot: number, id: number): void {
    this.#host = host;
    this.#slot = slot;
    this.#id = id;
    this.#view?.[bindState](slot * this.#stateSize);
    this[kError] = undefined;
    this[kContext] = new AsyncResource('OverlappedSharedTurn');
  }

  /** @internal */
  [kUnbind](): void {
    this.#host = null;
    this.#slot = -1;
    this[kContext] = null;
    this.#view?.[unbindState]();
    if (debugging) this.#turn = new Error(`the turn of session ${this.#id} ended here`);
  }

  get #bound(): TurnHost {
    if (this.#host === null) {
      assert.fail(`a shared session used after its turn${this.#turn === null ? '' : `: ${this.#turn.stack}`}`);
    }
    return this.#host;
  }
}
