// What a session has to do with groups: it joins them, leaves them, and sends to all that are in them.

import type { IocpCore } from '@overlapped/net-core';
import { Connection } from './connection.js';
import { broadcast, groupsOf } from './groups.js';
import type { Session } from './session.js';

let openMember: (session: Session, core: IocpCore) => void;
let closeMember: (session: Session) => void;

export abstract class Member extends Connection {
  /** Null before the session opens. */
  #core: IocpCore | null = null;
  /** It may be in groups: it is open. */
  #joins = false;
  /** The group that it joined first: most sessions are in one, which takes no Set. */
  #group: string | null = null;
  #others: Set<string> | null = null;

  static {
    openMember = (session, core) => {
      session.#core = core;
      session.#joins = true;
    };
    closeMember = (session) => {
      if (session.#group !== null) session.leave(session.#group);
      for (const group of session.#others ?? []) session.leave(group);
      session.#joins = false;
    };
  }

  /** Joins a group, until it leaves or is over: broadcast() to it reaches this session, too. */
  join(this: Session, group: string): void {
    if (!this.#joins || this.#group === group || this.#others?.has(group)) return;
    if (this.#group === null) this.#group = group;
    else {
      this.#others ??= new Set();
      this.#others.add(group);
    }
    groupsOf(this.#core!).join(this, group);
  }

  /** Leaves a group. Harmless when it is not in it. */
  leave(this: Session, group: string): void {
    if (this.#group === group) this.#group = null;
    else if (!this.#others?.delete(group)) return;
    groupsOf(this.#core!).leave(this, group);
  }

  /** {@link broadcast} from the server of this session; also to itself. After its end, too: in onDisconnected. */
  broadcast(data: Uint8Array | string, group?: string): boolean {
    return this.#core !== null && broadcast(this.#core, data, group);
  }
}

export { closeMember, openMember };
