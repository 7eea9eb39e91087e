// Sessions through one object of handlers for a whole listener: no class, and no closure for each connection.

import { Session } from './session.js';

/** What a session calls; see Session for each. `session` is the one that calls. */
export interface SessionHandlers<Kind extends Session = Session> {
  onConnected?(session: Kind): unknown;
  onReceive?(session: Kind, data: Buffer): unknown;
  onSend?(session: Kind, bytes: number): unknown;
  onDrain?(session: Kind): unknown;
  onDisconnected?(session: Kind, error?: Error): unknown;
}

/** Either way to say what a session does: a subclass of Session, or an object of handlers. */
export type SessionKind = (new () => Session) | SessionHandlers;

/** What makes the sessions of one kind. */
export function sessionFactory(kind: SessionKind): () => Session {
  return typeof kind === 'function' ? () => new kind() : () => new HandlerSession(kind);
}

class HandlerSession extends Session {
  readonly #handlers: SessionHandlers;

  constructor(handlers: SessionHandlers) {
    super();
    this.#handlers = handlers;
  }

  override onConnected(): unknown {
    return this.#handlers.onConnected?.(this);
  }

  override onReceive(data: Buffer): unknown {
    return this.#handlers.onReceive?.(this, data);
  }

  override onSend(bytes: number): unknown {
    return this.#handlers.onSend?.(this, bytes);
  }

  override onDrain(): unknown {
    return this.#handlers.onDrain?.(this);
  }

  override onDisconnected(error?: Error): unknown {
    return this.#handlers.onDisconnected?.(this, error);
  }
}
