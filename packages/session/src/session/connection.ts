// What a session tells of its socket, and lets be set on it.

import type { Endpoint, KeepAlive, PortSocket } from '@overlapped/iocp-native';
import { endpointOf } from '../endpoints.js';

/** @param client whom a trusted proxy connects for */
let attachSocket: (connection: Connection, socket: PortSocket | null, client?: Endpoint | null) => void;

/** A connection's addresses, and the options that may change while it lives. On the thread of its core. */
export abstract class Connection {
  /** Null before the session opens and after its end. */
  #socket: PortSocket | null = null;

  #client: Endpoint | null = null;

  static {
    attachSocket = (connection, socket, client = null) => {
      connection.#socket = socket;
      connection.#client = client;
    };
  }

  /**
   * The peer; behind a proxy that is trusted, the client. Addresses are asked of the OS whenever they are needed. Undefined
   * once the connection is gone, and for local sockets.
   */
  get remote(): Endpoint | undefined {
    return this.#client ?? endpointOf(this.#socket, 'remoteEndpoint');
  }

  /** This end. */
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

  /** TCP_NODELAY. Ignored once the connection is gone, and for local sockets. */
  setNoDelay(on = true): void {
    this.#socket?.setNoDelay(on);
  }

  /** SO_KEEPALIVE, in seconds; 0 turns it off. Ignored as above. Throws an IocpError (EINVAL, ENOTSUP). */
  setKeepAlive(keepAlive: number | KeepAlive): void {
    this.#socket?.setKeepAlive(keepAlive);
  }
}

export { attachSocket };
