// The events that listeners, or datagram sockets, may take: a share of their core's, so that each session finds its own.

import type { Operation } from '@overlapped/iocp-native';
import type { IocpEvent, IocpEventPool } from '@overlapped/object-pool';

export class EventQuota<Owner> {
  readonly #pool: IocpEventPool<Owner>;
  /** How many more there are. */
  free: number;

  constructor(pool: IocpEventPool<Owner>, count: number) {
    this.#pool = pool;
    this.free = count;
  }

  /** An event, or null when the share is out. */
  acquire(owner: Owner, operation: Operation): IocpEvent<Owner> | null {
    if (this.free === 0) return null;
    this.free--;
    return this.#pool.acquire(owner, operation);
  }

  release(event: IocpEvent<Owner>): void {
    this.#pool.release(event);
    this.free++;
  }
}
