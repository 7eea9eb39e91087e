// The recovery after a thread of the shared port that has ended, by itself or by force, at any point of its work.

import type { SharedHost } from './host.js';
import { Held } from './protocol.js';
import { Due, Field, Flag, Reason } from './table.js';

/**
 * Takes back the thread's resources, and ends the sessions that it was changing, or whose turn it had. In the core's thread. May be
 * called again for the same thread.
 * @param held the thread's words of Held
 * @param services whose listening sockets are open
 * @param close closes a descriptor
 * @returns as goOn() does
 */
export function recoverThread(
  host: SharedHost,
  threadId: number,
  held: Int32Array,
  services: Iterable<number>,
  close: (fd: number) => void,
): boolean {
  const { table, port, sockets } = host;
  const { words } = table;
  port.recover(threadId, held[Held.Accepted]!);
  const left = new Set([held[Held.Accepted]!]);
  for (const slot of table.recover(threadId)) {
    const at = table.at(slot);
    // Inside the lock: another thread that has the turn may end the session at this moment, and give the record back.
    table.lock(slot);
    const flags = words[at + Field.Flags]!;
    const own = Atomics.load(words, at + Field.Turn) === threadId + 1;
    if (own && (flags & Flag.Open) === 0) {
      left.add(words[at + Field.Socket]! - 1);
      words[at + Field.Socket] = 0;
    }
    if (flags !== 0) {
      words[at + Field.Reason] ||= Reason.ThreadLost;
      // That thread sets Over without the lock.
      Atomics.or(words, at + Field.Flags, Flag.Closing | Flag.Reset);
    }
    table.unlock(slot);
    if (flags === 0) {
      // It was about to serve a session, or has served one; or a late packet had it begin a turn of a record that is free.
      if (own && words[at + Field.Taken] === 1) table.release(slot);
      else Atomics.compareExchange(words, at + Field.Turn, threadId + 1, 0);
      continue;
    }
    // It may have ended in the lock of a session whose turn another thread has.
    Atomics.compareExchange(words, at + Field.Turn, threadId + 1, 0);
    Atomics.or(words, at + Field.Pending, Due.Close);
  }
  const closing = held[Held.Closing]!;
  if (held[Held.Mark] !== 0 && sockets.mark(closing) === held[Held.Mark]) left.add(closing);
  else left.delete(closing);
  for (const fd of left) if (fd >= 0) close(fd);
  held[Held.Accepted] = -1;
  held[Held.Closing] = -1;
  // A packet that it had taken and not begun is lost: sockets are armed again, listening sockets in goOn().
  for (let slot = 0; slot < table.used; slot++) {
    const at = table.at(slot);
    table.lock(slot);
    if (Atomics.load(words, at + Field.Turn) === 0) host.arm(slot);
    table.unlock(slot);
  }
  return goOn(host, services);
}

/**
 * Has threads accept again, and take a turn of each session that has something due. False if that is to be tried again: the port
 * takes no packet now, or a thread that is late has the lock of a listening socket.
 */
export function goOn(host: SharedHost, services: Iterable<number>): boolean {
  const { table } = host;
  const { words } = table;
  let all = true;
  for (const service of services) {
    const lock = table.serviceLock(service);
    // A thread that has the lock may have armed the socket before the packet that is lost.
    if (lock.lock(1)) {
      host.armListener(service);
      lock.unlock();
    } else all = false;
  }
  for (let slot = 0; slot < table.used; slot++) {
    const at = table.at(slot);
    if (words[at + Field.Flags] === 0 || Atomics.load(words, at + Field.Pending) === 0) continue;
    if (!host.wake(slot, 0)) all = false;
  }
  return all;
}
