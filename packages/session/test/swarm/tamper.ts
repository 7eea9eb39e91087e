// How the swarm looks into a core, or breaks it: its port's methods are replaced, one by one.

import { type CompletionPacket, type CompletionPort, Operation } from '@overlapped/iocp-native';

/** A port or a pool whose methods may be replaced. */
type Replaceable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Puts something else in the place of a method. */
export function replace<T extends object, Name extends keyof T>(
  target: T,
  name: Name,
  by: (original: T[Name]) => T[Name],
): void {
  const original = target[name];
  (target as Replaceable<T>)[name] = by((original as (...args: never[]) => unknown).bind(target) as T[Name]);
}

/** Is shown each packet that the port brings. */
export function onPacket(port: CompletionPort, look: (packet: CompletionPacket) => void): void {
  replace(port, 'dequeue', (dequeue) => (batch, timeout) => {
    const count = dequeue(batch, timeout);
    for (let i = 0; i < count; i++) look(batch[i]!);
    return count;
  });
}

/** Packets that come out of nowhere: each fills the record of a packet that was posted with the key null. */
export function injector(port: CompletionPort): ((packet: CompletionPacket) => void)[] {
  const queued: ((packet: CompletionPacket) => void)[] = [];
  onPacket(port, (packet) => {
    if (packet.operation === Operation.Post && packet.key === null) queued.shift()?.(packet);
  });
  return queued;
}
