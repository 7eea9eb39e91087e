// What of a session needs none of its state: the handlers, for subclasses to override, and the parts of its addresses.

import type { Endpoint } from '@overlapped/iocp-native';

export abstract class SessionBase {
  /** The connection is there. Nothing has been received yet. */
  onConnected(): unknown {
    return undefined;
  }

  /**
   * Bytes have come. `data` is borrowed: it is good until this returns, or, in an async handler, until its first await.
   * send(data) keeps it; anything else that needs it later must copy it.
   */
  onReceive(_data: Buffer): unknown {
    return undefined;
  }

  /** A send has completed: the kernel has taken `bytes` more. */
  onSend(_bytes: number): unknown {
    return undefined;
  }

  /** After a send() that said false: what waits has fallen to the low watermark. */
  onDrain(): unknown {
    return undefined;
  }

  /**
   * The session is over; no other handler runs after this one. `error` is why, unless it ended in order: an IocpError,
   * what a handler threw, or what destroy() was given.
   */
  onDisconnected(_error?: Error): unknown {
    return undefined;
  }

  abstract get remote(): Endpoint | undefined;
  abstract get local(): Endpoint | undefined;

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
}
