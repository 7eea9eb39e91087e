// Origin: the facts of a connection that were read before its session opened: from a PROXY header, and the handshake
// of TLS.

import type { Endpoint } from '@overlapped/iocp-native';
import { type Core, onCompletion } from '@overlapped/net-core/internal';
import type { TlsEngine } from '../tls/engine.js';
import type { SessionEvent } from './session-event.js';

export class Origin {
  /** The client, if a trusted proxy has connected for it. */
  readonly client: Endpoint | null;
  /** The TLS connection, which the session owns. */
  readonly tls: TlsEngine | null;
  #rest: Buffer[] | null;
  #receive: SessionEvent | null;

  /**
   * @param rest bytes that the peer has sent already, or null
   * @param receive the receive that is in flight, or null
   */
  constructor(client: Endpoint | null, rest: Buffer[] | null, tls: TlsEngine | null, receive: SessionEvent | null) {
    this.client = client;
    this.tls = tls;
    this.#rest = rest;
    this.#receive = receive;
  }

  takeRest(): Buffer[] | null {
    const rest = this.#rest;
    this.#rest = null;
    return rest;
  }

  takeReceive(): SessionEvent | null {
    const receive = this.#receive;
    this.#receive = null;
    return receive;
  }

  /** The session is over. */
  close(): void {
    this.tls?.free();
  }

  /** There is no session, and the connection is about to be reset. */
  abandon(core: Core): void {
    this.close();
    const receive = this.takeReceive();
    if (receive === null) return;
    receive.owner = {
      [onCompletion](packet) {
        if (packet.data !== null) core.port.release(packet.buffer);
        else core.events.release(receive);
      },
    };
  }
}
