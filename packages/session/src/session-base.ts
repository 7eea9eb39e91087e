// The handlers of a session, for subclasses to override.

import { Connection } from './connection.js';

export abstract class SessionBase extends Connection {
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
}
