// The list of objects that move to another thread instead of being copied, by a name of our own.

import type { MessagePort } from 'node:worker_threads';

/** As `postMessage()` takes it. The name of its elements' type differs between the versions of @types/node. */
export type TransferList = NonNullable<Parameters<MessagePort['postMessage']>[1]>;
