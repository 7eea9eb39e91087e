// The module of a listener's shared sessions.

import { SharedSession } from './shared-session.js';

/** A subclass of SharedSession. */
export type SharedKind = (new () => SharedSession) & Pick<typeof SharedSession, 'state'>;

/** The default export of a user's module. Rejects with a TypeError if it is no subclass of SharedSession. */
export async function loadSharedKind(module: string): Promise<SharedKind> {
  const { default: kind } = await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  // A subclass of another copy of this package's SharedSession is refused: its sessions would not work here.
  if (typeof kind === 'function' && kind.prototype instanceof SharedSession) return kind;
  throw new TypeError(`${module} has no default export that is a subclass of SharedSession`);
}
