// TlsHandshake: a connection whose TLS handshake is not done. When it is done, the connection becomes a session, which gets the
// receive in flight, the plain bytes that came already, and the bytes still to be sent.
//
//   receive, sends -> done, no send in flight -> onSecured()
//   broken handshake -> the alert is sent -> close -> Close packet -> onFailed(error)
//   timeout, peer's end, close() -> reset -> Close packet -> onFailed(error)

import {
  type CompletionPacket,
  type Endpoint,
  GatherList,
  IocpError,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import { Timer } from '@overlapped/net-core';
import { type CompletionOwner, type Core, type Flushable, onCompletion, onFlush } from '@overlapped/net-core/internal';
import { asError } from '../outcomes.js';
import { SENDER } from '../sender.js';
import { Origin } from '../session/origin.js';
import { type SessionEvent, takeEvent } from '../session/session-event.js';
import type { TlsContext } from './context.js';
import { TlsEngine } from './engine.js';
import type { HandshakeTurns, TurnTaker } from './handshake-turns.js';

/** Limit of the plain bytes that are kept until the session opens. */
const MAX_REST = 262_144;
/** Limit of the bytes that wait for the handshake's turn. A ClientHello is shorter. */
const MAX_EARLY = 32_768;
const NOTHING = Buffer.alloc(0);
const pieces = new GatherList();

export interface TlsHandshakeOwner {
  /** No send is in flight. The owner calls origin(), and opens the session. */
  onSecured(): void;
  /** The socket has closed. */
  onFailed(error: Error): void;
}

export class TlsHandshake implements CompletionOwner, Flushable, TurnTaker {
  readonly socket: PortSocket;
  readonly #core: Core;
  readonly #owner: TlsHandshakeOwner;
  readonly #context: TlsContext;
  readonly #host: string | undefined;
  readonly #deadline: Timer;
  /** Of a server: a handshake begins in its turn. */
  readonly #turns: HandshakeTurns | null;
  /** The bytes that have come before its turn; null from its turn on. */
  #early: Buffer | null;
  #engine: TlsEngine | null = null;
  #receive: SessionEvent | null = null;
  #send: SessionEvent | null = null;
  #buffer = -1;
  readonly #rest: Buffer[] = [];
  #restBytes = 0;
  #done = false;
  /** The session has been opened. */
  #over = false;
  #failure: Error | null = null;
  #closing = false;
  #waiting = false;

  /**
   * @param turns of a server; null for a client
   * @param host the server's name or address; of a client
   */
  constructor(
    core: Core,
    socket: PortSocket,
    context: TlsContext,
    owner: TlsHandshakeOwner,
    turns: HandshakeTurns | null,
    host?: string,
  ) {
    this.#core = core;
    this.socket = socket;
    this.#context = context;
    this.#owner = owner;
    this.#turns = turns;
    this.#early = turns === null ? null : NOTHING;
    this.#host = host;
    this.#deadline = new Timer(() => this.close(tookTooLong(context.handshakeTimeout)));
  }

  /** @param rest bytes that the peer has sent already, or null */
  start(rest: Buffer[] | null): void {
    const core = this.#core;
    this.socket.key = this;
    core.timers.set(this.#deadline, this.#context.handshakeTimeout);
    try {
      this.#engine = new TlsEngine(this.#context, this.#host);
    } catch (error) {
      this.close(asError(error));
      return;
    }
    this.#receive = takeEvent(core, this, Operation.Receive);
    core.port.receive(this.socket, this.#receive);
    if (rest !== null) this.#arrived(Buffer.concat(rest));
    else if (!this.#context.server) this.#step(null);
    this.#proceed();
  }

  /** The facts of the connection that the session starts with. */
  origin(client: Endpoint | null): Origin {
    const receive = this.#receive;
    this.#receive = null;
    return new Origin(client, this.#rest.length > 0 ? this.#rest : null, this.#engine, receive);
  }

  /** Resets the connection. */
  close(error: Error): void {
    if (this.#over || this.#closing) return;
    this.#failure ??= error;
    this.#close(true);
  }

  /** A packet of one of its operations. */
  [onCompletion](packet: CompletionPacket): void {
    switch (packet.operation) {
      case Operation.Receive:
        if (packet.data !== null) {
          if (!this.#closing) this.#arrived(packet.data);
          this.#core.port.release(packet.buffer);
        } else {
          this.#core.events.release(this.#receive!);
          this.#receive = null;
          if (this.#failure === null) this.close(packet.error ?? cutOff());
        }
        break;
      case Operation.Send:
        this.#sent(packet.error);
        break;
      case Operation.Close:
        this.#closed();
        return;
    }
    this.#proceed();
  }

  /** A send buffer is free. */
  [onFlush](): boolean {
    this.#waiting = false;
    this.#proceed();
    return true;
  }

  /** The handshake may begin: for HandshakeTurns. */
  onTurn(): void {
    const early = this.#early!;
    this.#early = null;
    this.#step(early);
    this.#proceed();
  }

  /** Bytes of the peer. They are kept until it is the handshake's turn. */
  #arrived(data: Buffer): void {
    if (this.#early === null) {
      this.#step(data);
    } else if (this.#early.length === 0 && this.#turns!.enter(this)) {
      this.#early = null;
      this.#step(data);
    } else {
      this.#early = Buffer.concat([this.#early, data]);
      if (this.#early.length <= MAX_EARLY) return;
      this.#turns!.leave(this);
      this.onTurn();
    }
  }

  /** @param data bytes of the peer, or null to begin */
  #step(data: Buffer | null): void {
    const engine = this.#engine!;
    if (this.#failure !== null) return;
    try {
      if (!this.#done) this.#done = engine.handshake(data, this.#rest);
      else {
        for (let bytes = engine.read(data!); bytes !== null; bytes = engine.next()) {
          this.#restBytes += bytes.length;
          this.#rest.push(Buffer.from(bytes));
        }
      }
    } catch (error) {
      this.#failure = asError(error);
    }
    if (this.#restBytes > MAX_REST) {
      const reason = 'the peer has sent too much before it has taken the handshake';
      this.close(new IocpError('do the TLS handshake', reason, 'ENOBUFS', 'receive'));
    }
  }

  /** Sends the engine's output; then the handshake is over, if it is done or has failed. */
  #proceed(): void {
    if (this.#closing || this.#over || this.#send !== null || this.#waiting) return;
    const { output } = this.#engine!;
    // The session sends its own bytes.
    if (this.#done && this.#failure === null) this.#secured();
    else if (output !== null) this.#startSend(output);
    else if (this.#failure !== null) this.#close(false);
  }

  #secured(): void {
    this.#over = true;
    this.#turns?.leave(this);
    this.#core.timers.clear(this.#deadline);
    this.#owner.onSecured();
  }

  #startSend(output: Buffer): void {
    const { sendBuffers, port } = this.#core;
    const buffer = sendBuffers.acquire(SENDER);
    if (buffer < 0) {
      this.#waiting = true;
      this.#core.awaitSendBuffer(this);
      return;
    }
    const length = Math.min(output.length, sendBuffers.size);
    sendBuffers.bytes(buffer).set(output.subarray(0, length));
    this.#engine!.output = length < output.length ? output.subarray(length) : null;
    this.#buffer = buffer;
    this.#send = takeEvent(this.#core, this, Operation.Send);
    pieces.clear();
    pieces.add(sendBuffers.block, sendBuffers.offsetOf(buffer), length);
    port.send(this.socket, this.#send, pieces);
  }

  #sent(error: IocpError | null): void {
    this.#core.events.release(this.#send!);
    this.#send = null;
    this.#core.releaseSendBuffer(this.#buffer, SENDER);
    this.#buffer = -1;
    // The alert of a peer that has closed may be on its way, so the receive reports the failure.
    if (error !== null && this.#receive === null) this.close(error);
  }

  #close(reset: boolean): void {
    this.#closing = true;
    this.#turns?.leave(this);
    this.#core.timers.clear(this.#deadline);
    this.#core.port.close(this.socket, reset);
  }

  #closed(): void {
    this.#engine?.free();
    this.#owner.onFailed(this.#failure!);
  }
}

function tookTooLong(timeout: number): IocpError {
  const reason = `it was not done within ${timeout} ms`;
  return new IocpError('do the TLS handshake', reason, 'ERR_TLS_HANDSHAKE_TIMEOUT', 'handshake');
}

function cutOff(): IocpError {
  return new IocpError('do the TLS handshake', 'the peer has closed before it was done', 'ECONNRESET', 'receive');
}
