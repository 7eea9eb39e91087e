// A worker thread that ends leaves its descriptors to the process. The thread that started it gives them back by the worker's
// ledger, if it keeps one (see ledger.ts). A program's own Worker keeps none, and the thread that terminates it may not know of its
// ports. No JavaScript runs then, but the clean-up hooks of Node's environment do: each may call a native function with one
// argument. So each descriptor has a hook there, which calls close() with it.

import { isMainThread } from 'node:worker_threads';
import { koffi } from '../native/koffi.js';
import { closeWithThread, keepsLedger } from '../native/ledger.js';
import { addCleanupHook, addressOf, removeCleanupHook } from './libc.js';

let installed = false;

/** From now on the descriptors of this thread's ports are closed when it ends. To be called before the first one is opened. */
export function closeAtThreadEnd(): void {
  if (installed || isMainThread || keepsLedger()) return;
  installed = true;
  const environment = koffi().node.env;
  const close = addressOf('close');
  // A second hook of the same descriptor would end the process.
  const hooked = new Set<number>();
  closeWithThread({
    own(fd) {
      if (hooked.has(fd)) return;
      hooked.add(fd);
      addCleanupHook(environment, close, fd);
    },
    disown(fd) {
      if (hooked.delete(fd)) removeCleanupHook(environment, close, fd);
    },
  });
}

/** Whether hooks close the descriptors of this thread when it ends. */
export function closesAtThreadEnd(): boolean {
  return installed;
}
