// The events of sessions. The core's pool has two for each session, so it is never empty here.

import type { Operation } from '@overlapped/iocp-native';
import type { CompletionOwner, Core } from '@overlapped/net-core/internal';
import type { IocpEvent } from '@overlapped/object-pool';

export type SessionEvent = IocpEvent<CompletionOwner>;

export function takeEvent(core: Core, owner: CompletionOwner, operation: Operation): SessionEvent {
  const event = core.events.acquire(owner, operation);
  if (event === null) throw new Error('the event pool is smaller than its sessions need');
  return event;
}
