// Sessions through one object of handlers for a whole listener: no class, and no closure for each connection.

import { Session } from './session.js';

/** What sessions of bytes and sessions of frames call. */
export interface CommonHandlers<Kind extends Session> {
  /** See {@link Session.onConnected}. */
  onConnected?(session: Kind): unknown;
  /** See {@link Session.onSend}. */
  onSend?(session: Kind, bytes: number): unknown;
  /** See {@link Session.onDrain}. */
  onDrain?(session: Kind): unknown;
  /** See {@link Session.onDisconnected}. */
  onDisconnected?(session: Kind, error?: Error): unknown;
}

/** What a session calls, on the thread of its core. `session` is the one that calls. */
export interface SessionHandlers<Kind extends Session = Session> extends CommonHandlers<Kind> {
  /** See {@link Session.onReceive}: `data` is borrowed. */
  onReceive?(session: Kind, data: Buffer): unknown;
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
