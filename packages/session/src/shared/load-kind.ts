// The module of a listener's shared sessions.

import { checkFramer } from '../framing/framer.js';
import { SharedPacketSession } from './shared-packet-session.js';
import { SharedSession } from './shared-session.js';

/** A subclass of SharedSession. Those of SharedPacketSession have a framer. */
export type SharedKind = (new () => SharedSession) &
  Pick<typeof SharedSession, 'state'> &
  Pick<typeof SharedPacketSession, 'framer'>;

/**
 * The default export of a user's module. Rejects with a TypeError if it is no subclass of SharedSession, or one of
 * SharedPacketSession without a framer.
 */
export async function loadSharedKind(module: string): Promise<SharedKind> {
  const { default: kind } = await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  // A subclass of another copy of this package's SharedSession is refused: its sessions would not work here.
  if (typeof kind === 'function' && kind.prototype instanceof SharedSession) {
    if (kind.prototype instanceof SharedPacketSession) checkFramer(kind.framer);
    return kind;
  }
  throw new TypeError(`${module} has no default export that is a subclass of SharedSession`);
}
