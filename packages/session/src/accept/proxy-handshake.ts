// ProxyHandshake: a connection from a trusted proxy whose PROXY header has not been read yet. It reads the header, and then the
// connection becomes a session, which gets the client's first bytes.
//
//   receive -> header complete -> cancel the receive -> its last packet -> onHeader(header, bytes after it)
//   malformed header, timeout, peer's end or close() -> reset -> Close packet -> onFailed()

import { type CompletionPacket, type Endpoint, Operation, type PortSocket } from '@overlapped/iocp-native';
import { Timer } from '@overlapped/net-core';
import { type CompletionOwner, type Core, onCompletion } from '@overlapped/net-core/internal';
import { type SessionEvent, takeEvent } from '../session/session-event.js';
import { type ProxyHeader, readProxyHeader } from './proxy-header.js';

/** Milliseconds. The protocol asks for at least 3 seconds, so that a lost segment can be sent again. */
export const HEADER_TIMEOUT = 5000;

/** The facts of a client behind a proxy that its session starts with. */
export interface ProxyInfo {
  /** The client; null if the proxy connects for itself. */
  readonly source: Endpoint | null;
  /** Bytes that the client has sent already, or null. */
  readonly rest: Buffer[] | null;
}

export interface HandshakeOwner {
  /** The header is complete, and no operation of the handshake is in flight. */
  onHeader(handshake: ProxyHandshake, proxied: ProxyInfo): void;
  /** No valid header came: the socket has closed. */
  onFailed(handshake: ProxyHandshake): void;
}

export class ProxyHandshake implements CompletionOwner {
  readonly socket: PortSocket;
  readonly #core: Core;
  readonly #owner: HandshakeOwner;
  readonly #event: SessionEvent;
  readonly #deadline = new Timer(() => this.close());
  #bytes: Buffer = Buffer.alloc(0);
  #header: ProxyHeader | null = null;
  #closing = false;

  /** @param timeout milliseconds in which the header must arrive */
  constructor(core: Core, socket: PortSocket, timeout: number, owner: HandshakeOwner) {
    const event = takeEvent(core, this, Operation.Receive);
    this.#core = core;
    this.socket = socket;
    this.#owner = owner;
    this.#event = event;
    socket.key = this;
    core.timers.set(this.#deadline, timeout);
    core.port.receive(socket, event);
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#core.timers.clear(this.#deadline);
    this.#core.port.close(this.socket, true);
  }

  [onCompletion](packet: CompletionPacket): void {
    if (packet.operation === Operation.Close) {
      this.#owner.onFailed(this);
    } else if (packet.data !== null) {
      if (!this.#closing) this.#received(packet.data);
      this.#core.port.release(packet.buffer);
    } else {
      this.#core.events.release(this.#event);
      if (this.#closing) return;
      const ended = packet.error === null || packet.error.code === 'ECANCELED';
      if (ended && this.#header !== null) this.#complete(this.#header);
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
    this.#core.timers.clear(this.#deadline);
    this.#core.port.cancel(this.socket, this.#event);
  }

  #complete(header: ProxyHeader): void {
    const rest = this.#bytes.subarray(header.length);
    this.#owner.onHeader(this, { source: header.source, rest: rest.length > 0 ? [rest] : null });
  }
}
