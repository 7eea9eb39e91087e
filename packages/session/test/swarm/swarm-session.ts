// A session of the swarm: does what its run draws, and asserts what a session promises to its handlers.

import assert from 'node:assert';
import { isIocpError } from '@overlapped/iocp-native';
import { lengthPrefixed, PacketSession } from '../../src/index.js';
import { isDirectFrom } from './frames.js';
import type { ActionName } from './plan.js';
import type { Run } from './run.js';
import type { Side } from './side.js';

/** What a handler throws, and what destroy() is given. */
class Planned extends Error {}

/** Why a connection may end without anybody's fault in this process. */
const CODES = new Set(['ECONNRESET', 'EPIPE', 'ENOBUFS', 'ENOTCONN']);

/** Cuts what the swarm's connections carry (frames.ts) into whole frames, their headers included. */
const framer = lengthPrefixed({ offset: 7, size: 2, littleEndian: true, strip: 0 });

export abstract class SwarmSession extends PacketSession {
  abstract readonly run: Run;
  side!: Side;
  #state: 'new' | 'open' | 'over' = 'new';
  #paused = false;
  /** destroy() was called, by the run or by the product. */
  #destroyed = false;
  #planned: Error | undefined;
  /** send() said false, and onDrain has not come. */
  #congested = false;
  /** onDrain must be what is called next. */
  #drains = false;

  constructor() {
    super(framer);
  }

  override onConnected(): unknown {
    return this.#guard(() => this.#onConnected());
  }

  override onReceive(data: Buffer): unknown {
    if (!this.run.plan.framed) return this.#guard(() => this.#onReceive(data));
    super.onReceive(data);
    return undefined;
  }

  override onPacket(frame: Buffer): unknown {
    return this.#guard(() => this.#onReceive(frame));
  }

  override onSend(bytes: number): unknown {
    return this.#guard(() => this.#onSend(bytes));
  }

  override onDrain(): unknown {
    return this.#guard(() => this.#onDrain());
  }

  override onDisconnected(error?: Error): void {
    this.#guard(() => this.#onDisconnected(error));
  }

  #onConnected(): unknown {
    assert.strictEqual(this.#state, 'new', 'onConnected comes once');
    this.#state = 'open';
    this.run.opened(this);
    return this.#maybeAct();
  }

  #onReceive(data: Buffer): unknown {
    this.#enter('onReceive');
    assert(!this.#paused, 'a paused session is handed nothing');
    const { run, side } = this;
    side.reader.push(data, (frame) => {
      if (run.plan.echo && isDirectFrom(frame, side.id)) this.#send(frame, false);
    });
    return this.#maybeAct();
  }

  #onSend(bytes: number): unknown {
    this.#enter('onSend');
    assert(bytes > 0, 'a send of nothing');
    const result = this.#maybeAct();
    this.#drains = this.#congested && !this.#destroyed && this.bytesQueued <= this.run.plan.lowWatermark;
    return result;
  }

  #onDrain(): unknown {
    assert(this.#drains, 'onDrain comes after a send() that said false, at the low watermark');
    this.#drains = false;
    this.#enter('onDrain');
    this.#congested = false;
    return this.#maybeAct();
  }

  #onDisconnected(error?: Error): void {
    this.#enter('onDisconnected');
    this.#state = 'over';
    assert(!this.writable && !this.send('too late'), 'a session that is over takes nothing');
    const { run, side } = this;
    // Of a frame that is not whole nothing is handed over.
    const all = !run.plan.framed || (error === undefined && !this.#destroyed);
    assert(all ? this.bytesReceived === side.reader.total : this.bytesReceived >= side.reader.total, 'bytesReceived');
    run.closed(this);
    // What closed it first counts.
    const known = error === undefined || error === this.#planned || (isIocpError(error) && CODES.has(error.code));
    const broken = run.plan.framed && isIocpError(error) && error.code === 'EPROTO' && run.sides.otherCut(side);
    assert(known || broken, `ended by ${error}`);
    if (error === undefined && !this.#destroyed) run.sides.ended(side);
    else side.cut = true;
  }

  override destroy(error?: Error): void {
    if (this.#state === 'open' && !this.#destroyed) {
      this.#destroyed = true;
      this.#planned = error;
      this.side.cut = true;
    }
    super.destroy(error);
  }

  override pause(): void {
    this.#paused = true;
    super.pause();
  }

  override resume(): void {
    this.#paused = false;
    super.resume();
  }

  /** Does one thing, as the run draws it. From outside, or in a handler, which is to give back what this does. */
  act(name: ActionName = this.run.random.pick(this.run.plan.actions), inHandler = false): unknown {
    const { run } = this;
    switch (name) {
      case 'send':
        this.#send(this.side.next(run.random.below(run.plan.largest)), true);
        break;
      case 'end':
        if (run.random.chance(0.5)) this.end();
        else this.#endWith(this.side.next(run.random.below(run.plan.largest)));
        break;
      case 'destroy':
        this.destroy(run.random.chance(0.5) ? new Planned('as planned') : undefined);
        break;
      case 'pause':
        this.pause();
        run.simulation.clock.setTimeout(() => this.resume(), run.random.next() * 50);
        break;
      case 'resume':
        this.resume();
        break;
      case 'join':
      case 'leave':
        this[name](run.random.pick(['red', 'blue']));
        break;
      case 'broadcast':
        run.broadcast();
        break;
      case 'throw':
        if (inHandler) throw new Planned('as planned');
        break;
      case 'reject':
        if (inHandler) return Promise.reject(new Planned('as planned'));
        break;
    }
    return undefined;
  }

  #send(bytes: Buffer, isFrame: boolean): void {
    const { writable } = this;
    const taken = this.send(bytes);
    const above = this.bytesQueued > this.run.plan.highWatermark;
    assert.strictEqual(taken, writable && !above, 'send() says false above the high watermark');
    if (!writable) return;
    this.side.accept(bytes.length, isFrame);
    this.#congested ||= !taken;
  }

  #endWith(bytes: Buffer): void {
    const { writable } = this;
    this.end(bytes);
    if (!writable) return;
    this.side.accept(bytes.length);
    this.#congested ||= this.bytesQueued > this.run.plan.highWatermark;
  }

  #maybeAct(): unknown {
    return this.run.spends() ? this.act(undefined, true) : undefined;
  }

  /** What a handler throws closes its session; what breaks a promise fails the run, too. */
  #guard(handler: () => unknown): unknown {
    try {
      return handler();
    } catch (error) {
      if (!(error instanceof Planned)) this.run.fail(error);
      throw error;
    }
  }

  #enter(handler: string): void {
    assert.strictEqual(this.#state, 'open', `${handler} of a session that is ${this.#state}`);
    assert(!this.#drains || handler === 'onDisconnected', `${handler} comes in the place of onDrain`);
  }
}
