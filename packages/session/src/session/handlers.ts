// Sessions through one object of handlers for a whole listener: no class, and no closure for each connection.

import { checkKind } from '../options.js';
import { Session } from './session.js';

/** What sessions of bytes and sessions of frames call. */
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

/** What a session calls, on the thread of its core. `session` is the one that calls. */
export interface SessionHandlers<Kind extends Session = Session> extends CommonHandlers<Kind> {
  /** See {@link Session.onReceive}: `data` is borrowed. */
  onReceive?(session: Kind, data: Buffer): unknown;
}

/** Either way to say what a session does: a subclass of Session, or an object of handlers. */
export type SessionKind<Kind extends Session = Session> = (new () => Kind) | SessionHandlers;

/** What makes the sessions of one kind. Throws a TypeError for what is neither a class of sessions nor handlers. */
export function sessionFactory(kind: SessionKind): () => Session {
  checkKind(kind, Session, HANDLERS);
  if (typeof kind === 'function') return () => new kind();
  const Handled = withHandlers(Session, kind);
  return () => new Handled();
}

/** The handlers of sessions of any kind, as they are called: on the object that has them, with the session first. */
interface AnyHandlers<Kind extends Session> extends CommonHandlers<Kind> {
  onReceive?(session: Kind, data: Buffer): unknown;
}

/**
 * A class of sessions that call one object's handlers. It overrides what the object has and nothing else: a session can
 * tell whether there is a handler for something.
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
