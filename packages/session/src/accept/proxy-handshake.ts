// A connection from a proxy that has not said yet whom it connects for. It reads the PROXY header, and gives way to the
// session, which the client's first bytes are for.
//
//   receive -> header complete -> cancel the stream -> its last packet -> ready(header, what came after it)
//   malformed, late, ended or close() -> reset -> its Close packet -> failed()

import { type CompletionPacket, type Endpoint, Operation, type PortSocket } from '@overlapped/iocp-native';
import { type CompletionOwner, type IocpCore, onCompletion, Timer } from '@overlapped/net-core';
import { type SessionEvent, takeEvent } from '../session/session-event.js';
import { type ProxyHeader, readProxyHeader } from './proxy-header.js';

/** What a session starts with whose client came through a proxy. */
export interface Introduction {
  /** The client; null when the proxy speaks for itself. */
  readonly source: Endpoint | null;
  /** What the client has sent already, or null. */
  readonly rest: Buffer[] | null;
}

export interface PrefaceHost {
  /** The header is complete, and nothing of the preface is in flight. */
  ready(preface: Preface, introduction: Introduction): void;
  /** No header came: the socket has closed. */
  failed(preface: Preface): void;
}

export class Preface implements CompletionOwner {
  readonly socket: PortSocket;
  readonly #core: IocpCore;
  readonly #host: PrefaceHost;
  readonly #event: SessionEvent;
  readonly #late = new Timer(() => this.close());
  #bytes: Buffer = Buffer.alloc(0);
  #header: ProxyHeader | null = null;
  #closing = false;

  /** @param timeout milliseconds in which the header must come. */
  constructor(core: IocpCore, socket: PortSocket, timeout: number, host: PrefaceHost) {
    const event = takeEvent(core, this, Operation.Receive);
    this.#core = core;
    this.socket = socket;
    this.#host = host;
    this.#event = event;
    socket.key = this;
    core.timers.set(this.#late, timeout);
    core.port.receive(socket, event);
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#core.timers.clear(this.#late);
    this.#core.port.close(this.socket, true);
  }

  [onCompletion](packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) {
      this.#host.failed(this);
    } else if (packet.data !== null) {
      if (!this.#closing) this.#received(packet.data);
      this.#core.port.release(packet.buffer);
    } else {
      this.#core.events.release(this.#event);
      if (this.#closing) return;
      const ended = packet.error === null || packet.error.code === 'ECANCELED';
      if (ended && this.#header !== null) this.#ready(this.#header);
      else this.close();
    }
  }

  #received(data: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, data]);
    if (this.#header !== null) return;
    try {
      this.#header = readProxyHeader(this.#bytes);
    } catch {
      this.close();
      return;
    }
    if (this.#header === null) return;
    this.#core.timers.clear(this.#late);
    this.#core.port.cancel(this.socket, this.#event);
  }

  #ready(header: ProxyHeader): void {
    const rest = this.#bytes.subarray(header.length);
    this.#host.ready(this, { source: header.source, rest: rest.length > 0 ? [rest] : null });
  }
}
