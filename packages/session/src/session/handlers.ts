// Sessions that call one object of handlers: no subclass to write, and no closure for each connection.

import { checkKind } from '../options.js';
import { Session } from './session.js';

/** The handlers that sessions of bytes and sessions of frames have in common. */
export interface CommonHandlers<Kind extends Session> {
  /** See {@link Session.onConnected}. */
  onConnected?(session: Kind): unknown;
  /** See {@link Session.onEnd}. */
  onEnd?(session: Kind): unknown;
  /** See {@link Session.onSend}. */
  onSend?(session: Kind, bytes: number): unknown;
  /** See {@link Session.onDrain}. */
  onDrain?(session: Kind): unknown;
  /** See {@link Session.onDisconnected}. */
  onDisconnected?(session: Kind, error?: Error): unknown;
}

/** Handlers, called on the thread of the core. `session` is the session that calls. */
export interface SessionHandlers<Kind extends Session = Session> extends CommonHandlers<Kind> {
  /** See {@link Session.onReceive}: `data` is borrowed. */
  onReceive?(session: Kind, data: Buffer): unknown;
}

/** The handlers of a session: a subclass of Session, or an object of handlers. */
export type SessionKind<Kind extends Session = Session> = (new () => Kind) | SessionHandlers;

/** Gives a function that makes sessions. Throws a TypeError if `kind` is neither a subclass of Session nor an object of handlers. */
export function sessionFactory(kind: SessionKind): () => Session {
  checkKind(kind, Session, HANDLERS);
  if (typeof kind === 'function') return () => new kind();
  const Handled = withHandlers(Session, kind);
  return () => new Handled();
}

/** The handlers as a session calls them: methods of the object, with the session as the first argument. */
interface AnyHandlers<Kind extends Session> extends CommonHandlers<Kind> {
  onReceive?(session: Kind, data: Buffer): unknown;
}

/**
 * A subclass of `base` whose sessions call one object's handlers. It overrides only the handlers that the object has, since a
 * session acts differently without a handler for data.
 */
export function withHandlers<Kind extends Session>(base: new () => Kind, handlers: AnyHandlers<Kind>): new () => Kind {
  const Base: new () => Session = base;
  const on = handlers as Required<AnyHandlers<Session>>;
  class Handled extends Base {
    override onConnected(): unknown {
      return on.onConnected(this);
    }

    override onReceive(data: Buffer): unknown {
      return on.onReceive(this, data);
    }

    override onEnd(): unknown {
      return on.onEnd(this);
    }

    override onSend(bytes: number): unknown {
      return on.onSend(this, bytes);
    }

    override onDrain(): unknown {
      return on.onDrain(this);
    }

    override onDisconnected(error?: Error): unknown {
      return on.onDisconnected(this, error);
    }
  }
  for (const name of HANDLERS) if (!handlers[name]) Reflect.deleteProperty(Handled.prototype, name);
  return Handled as unknown as new () => Kind;
}

const HANDLERS = ['onConnected', 'onReceive', 'onEnd', 'onSend', 'onDrain', 'onDisconnected'] as const;
