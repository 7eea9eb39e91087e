// What a session tells of its socket, and lets be set on it.

import { type Endpoint, isIocpError, type KeepAlive, type PortSocket } from '@overlapped/iocp-native';

let attachSocket: (connection: Connection, socket: PortSocket | null) => void;

export abstract class Connection {
  /** Null before the session opens and after its end. */
  #socket: PortSocket | null = null;

  static {
    attachSocket = (connection, socket) => {
      connection.#socket = socket;
    };
  }

  /** Addresses are asked of the OS when first needed. Undefined once the connection is gone, and for local sockets. */
  get remote(): Endpoint | undefined {
    return endpointOf(() => this.#socket?.remoteEndpoint());
  }

  get local(): Endpoint | undefined {
    return endpointOf(() => this.#socket?.localEndpoint());
  }

  get remoteAddress(): string | undefined {
    return this.remote?.address;
  }

  get remotePort(): number | undefined {
    return this.remote?.port;
  }

  get localAddress(): string | undefined {
    return this.local?.address;
  }

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

function endpointOf(ask: () => Endpoint | undefined): Endpoint | undefined {
  try {
    return ask();
  } catch (error) {
    if (isIocpError(error)) return undefined;
    throw error;
  }
}

export { attachSocket };
