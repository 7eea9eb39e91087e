// Gives back what a thread that has ended left behind. The rings first: the thread is gone, and with it whatever could
// have run its operations, so from then on the kernel writes nothing into its memory.
//
// The kernel takes a ring apart in the background, and until then what polls a socket keeps it open: some milliseconds in
// which a listener would go on to take connections. So sockets are shut down before they are closed.

import type { LeftOver } from '../../contract/driver.js';
import { Owned, type OwnedRecord } from '../../native/ledger.js';
import { SHUT_RDWR } from '../layout.js';
import { close, munmap, shutdown } from '../libc.js';
import { leftCompletions } from './dead-ring.js';

export function reap(records: readonly OwnedRecord[], left: LeftOver): void {
  const of = (kind: Owned) => records.filter((record) => record.kind === kind);
  const open = new Set(of(Owned.Handle).map(({ value }) => value));
  const closing = of(Owned.Closing).map(({ value }) => value);
  let certain = true;
  for (const { value: ring, detail: page } of of(Owned.Queue)) {
    const { accepted, closed, overflown } = leftCompletions(page);
    for (const fd of accepted) open.add(fd);
    for (const fd of closed) if (closing.includes(fd)) closing.splice(closing.indexOf(fd), 1);
    // The completions that did not fit are lost with the ring, and with them which descriptors are closed already.
    if (overflown) certain = false;
    close(ring);
  }
  for (const fd of open) {
    // Refused for what is no socket.
    shutdown(fd, SHUT_RDWR);
    close(fd);
  }
  if (certain) for (const fd of closing) close(fd);
  for (const { value, detail } of of(Owned.Block)) munmap(value, detail);
  for (const { value: key, detail: bytes } of of(Owned.Post)) left(key, bytes);
}
