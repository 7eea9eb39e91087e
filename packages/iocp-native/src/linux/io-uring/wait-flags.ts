// How a ring waits: as a thread that waits for peers, and not for a disk.

import { ENTER, FEATURE } from '../layout.js';

/**
 * The flags with which io_uring_enter(2) waits for a completion, on a kernel with these features (`IORING_FEAT_`). Where the kernel
 * can, from Linux 6.15 on, a thread that waits for peers does not count as one that waits for a disk (iowait in /proc/stat, io in
 * /proc/pressure).
 */
export function waitFlags(features: number): number {
  return (features & FEATURE.NO_IOWAIT) === 0 ? ENTER.GETEVENTS : ENTER.GETEVENTS | ENTER.NO_IOWAIT;
}
