// Groups of sessions, and what is sent to all sessions of one at once, in every thread of a server, with one copy of the
// bytes.
//
// A message of the exchange: the length of the group's name (2 bytes, little-endian), the name, the bytes to send.

import type { Exchange, IocpCore } from '@overlapped/net-core';
import { plainBytesOf } from '../bytes.js';
import { type Session, sendMessage } from './session.js';

/** The group of every session that a listener made. */
export const EVERYONE = '';
const HEADER = 2;
const LONGEST_NAME = 1024;

/** The groups of one core's sessions. @internal */
export class Groups {
  readonly #members = new Map<string, Set<Session>>();

  join(session: Session, name: string): void {
    const members = this.#members.get(name);
    if (members) members.add(session);
    else this.#members.set(name, new Set([session]));
  }

  leave(session: Session, name: string): void {
    const members = this.#members.get(name);
    if (members?.delete(session) && members.size === 0) this.#members.delete(name);
  }

  deliver(exchange: Exchange, message: number): void {
    const { bytes } = exchange.block;
    const at = exchange.offsetOf(message);
    const start = at + HEADER + bytes.readUInt16LE(at);
    const members = this.#members.get(bytes.toString('utf8', at + HEADER, start));
    if (!members) return;
    const length = at + exchange.lengthOf(message) - start;
    for (const session of members) sendMessage(session, exchange, message, start, length);
  }
}

const groups = new WeakMap<IocpCore, Groups>();

/** @internal */
export function groupsOf(core: IocpCore): Groups {
  let known = groups.get(core);
  if (known) return known;
  known = new Groups();
  groups.set(core, known);
  const { deliver } = Groups.prototype;
  core.onMessage = deliver.bind(known);
  return known;
}

/**
 * Sends bytes to every session that a listener of this server made, or to those that joined a group, in every thread. Their
 * one copy is what the kernel reads for each of them; at most 1 MiB with the group's name. What one thread broadcasts
 * arrives in order. A session whose queue is above its high watermark is passed over, and counted (`skipped`). False, and
 * nothing is sent, when too much waits already. Throws a RangeError when the bytes or the name are too long.
 */
export function broadcast(core: IocpCore, data: Uint8Array | string, group = EVERYONE): boolean {
  const name = Buffer.from(group);
  if (name.length > LONGEST_NAME) throw new RangeError(`a group's name has at most ${LONGEST_NAME} bytes`);
  const header = Buffer.alloc(HEADER);
  header.writeUInt16LE(name.length);
  groupsOf(core);
  return core.broadcast(Buffer.concat([header, name, plainBytesOf(data)]));
}
