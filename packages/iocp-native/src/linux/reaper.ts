// Gives back the resources of a thread that has ended. The kernel queues come first: the thread's operations ran in the thread,
// so once its ring is closed the kernel writes nothing into the thread's memory.
//
// The kernel takes a ring apart in the background, for some milliseconds. Until then a poll of the ring keeps its socket open,
// and a listener would still take connections. So sockets are shut down before they are closed.

import type { LeftOver } from '../contract/driver.js';
import { Owned, type OwnedRecord } from '../native/ledger.js';
import { leftCompletions } from './io-uring/dead-ring.js';
import { SHUT_RDWR, SYS_io_destroy } from './layout.js';
import { close, destroyContext, munmap, shutdown } from './libc.js';

export function reap(records: readonly OwnedRecord[], left: LeftOver): void {
  const of = (kind: Owned) => records.filter((record) => record.kind === kind);
  const open = new Set(of(Owned.Handle).map(({ value }) => value));
  const closing = of(Owned.Closing).map(({ value }) => value);
  let certain = true;
  for (const { value: queue, detail: page } of of(Owned.Queue)) {
    // An epoll has no page.
    if (page !== 0) {
      const { accepted, closed, overflown } = leftCompletions(page);
      for (const fd of accepted) open.add(fd);
      for (const fd of closed) if (closing.includes(fd)) closing.splice(closing.indexOf(fd), 1);
      // The completions that did not fit are lost with the ring. They may have told that descriptors are closed.
      if (overflown) certain = false;
    }
    close(queue);
  }
  for (const fd of open) {
    // Fails on a file that is no socket.
    shutdown(fd, SHUT_RDWR);
    close(fd);
  }
  if (certain) for (const fd of closing) close(fd);
  for (const { value } of of(Owned.Context)) destroyContext(SYS_io_destroy, value);
  for (const { value, detail } of of(Owned.Block)) munmap(value, detail);
  for (const { value: key, detail: bytes } of of(Owned.Post)) left(key, bytes);
}
