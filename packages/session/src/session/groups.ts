// Groups of sessions: a broadcast goes to all sessions of a group, in every thread of a server, with one copy of the bytes.
//
// A shared message: the length of the group's name (2 bytes, little-endian), the name, the bytes to send.

import type { IocpCore } from '@overlapped/net-core';
import { type Core, internalsOf, type SharedMessages } from '@overlapped/net-core/internal';
import { plainBytesOf } from '../bytes.js';
import { kSendMessage } from './symbols.js';

/** The group of all sessions that a listener made. */
export const EVERYONE = '';
const HEADER = 2;
/** Limit of a group's name, in bytes. */
const MAX_NAME = 1024;

/** A session, as its groups see it. */
interface GroupMember {
  /** Queues `length` bytes of a message, which start at `offset` in the memory of the shared messages. */
  [kSendMessage](messages: SharedMessages, message: number, offset: number, length: number): void;
}

/** The groups of one core's sessions. */
class Groups {
  readonly #core: Core;
  readonly #members = new Map<string, Set<GroupMember>>();

  constructor(core: Core) {
    this.#core = core;
  }

  join(member: GroupMember, name: string): void {
    const members = this.#members.get(name);
    if (members) members.add(member);
    else this.#members.set(name, new Set([member]));
  }

  leave(member: GroupMember, name: string): void {
    const members = this.#members.get(name);
    if (members?.delete(member) && members.size === 0) this.#members.delete(name);
  }

  deliver(messages: SharedMessages, message: number): void {
    const { bytes } = messages.block;
    const at = messages.offsetOf(message);
    const start = at + HEADER + bytes.readUInt16LE(at);
    const name = bytes.toString('utf8', at + HEADER, start);
    const length = at + messages.lengthOf(message) - start;
    this.#core.sharedSessions?.broadcast?.(bytes.subarray(start, start + length), name);
    for (const member of this.#members.get(name) ?? []) member[kSendMessage](messages, message, start, length);
  }
}

const groups = new WeakMap<Core, Groups>();

/** The groups of a core. The first call makes them, and has the core deliver broadcasts to them. */
export function groupsOf(core: Core): Groups {
  let known = groups.get(core);
  if (known) return known;
  known = new Groups(core);
  groups.set(core, known);
  const { deliver } = Groups.prototype;
  core.onMessage = deliver.bind(known);
  return known;
}

/**
 * Sends bytes to all sessions that listeners of this server made, or to those that joined `group`, in every thread. The bytes
 * are copied once: the kernel reads that copy for each session. The limit is 1 MiB with the group's name. Broadcasts of one
 * thread arrive in order. A session whose queue is above its high watermark is skipped and counted (`skipped`). Returns false,
 * and sends nothing, if too many broadcasts are queued already. Throws a RangeError if the bytes or the name are too long.
 */
export function broadcast(core: IocpCore, data: Uint8Array | string, group = EVERYONE): boolean {
  const name = Buffer.from(group);
  if (name.length > MAX_NAME) throw new RangeError(`a group's name has at most ${MAX_NAME} bytes`);
  const header = Buffer.alloc(HEADER);
  header.writeUInt16LE(name.length);
  const internals = internalsOf(core);
  groupsOf(internals);
  return internals.broadcast(Buffer.concat([header, name, plainBytesOf(data)]));
}
