// The entry of a worker thread: a core of its own with a dedicated pump, and the services that it is asked to host.

import assert from 'node:assert';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { openPoster } from '@overlapped/iocp-native';
import {
  blockAt,
  carryError,
  closeHandle,
  describe,
  guarded,
  keepGuard,
  keepLedger,
} from '@overlapped/iocp-native/internal';
import { Core } from '../core.js';
import { StatsBlock } from '../stats.js';
import { type Report, type Request, type Service, USER_KEYS, type WorkerModule, type WorkerStart } from './protocol.js';
import { MEMORY_SIZE, SharedMessages, threadIndexOf } from './shared-messages.js';

assert(parentPort, 'this is the entry of a worker thread');
const parent = parentPort;
const { index, options, ledger, stats, messages, guard } = workerData as WorkerStart;
const services = new Map<number, Service>();
/** The same, also those that are still starting. */
const starting = new Map<number, Promise<Service>>();

keepLedger(ledger);
keepGuard(guard);
const core = guarded(() => {
  const block = blockAt(messages.address, MEMORY_SIZE);
  const shared = new SharedMessages(messages.control, block, threadIndexOf(index), threadId);
  return new Core({ ...options, dedicated: true, onPost }, { statsBlock: new StatsBlock(stats), messages: shared });
});

parent.on('message', (request: Request) => {
  serve(request).then(
    (value) => tell({ id: request.id, value }),
    (error: unknown) => refuse(request.id, error),
  );
});
tell({ ready: core.share() });

function onPost(key: number, bytes: number): void {
  if (key >= USER_KEYS) {
    for (const hosted of services.values()) hosted.onPost?.(key - USER_KEYS, bytes);
    return;
  }
  const hosted = services.get(key);
  if (hosted) {
    hosted.onSocket(bytes);
    return;
  }
  // It was under way when its service ended.
  closeHandle(core.backend, bytes);
}

async function serve(request: Request): Promise<unknown> {
  switch (request.ask) {
    case 'host': {
      const start = async () => {
        const host = (await import(/* webpackIgnore: true */ /* @vite-ignore */ request.module)) as WorkerModule;
        return host.start(core, request.data, request.first, request.ended);
      };
      const started = start();
      starting.set(request.service, started);
      const hosted = await started;
      services.set(request.service, hosted);
      return hosted.value;
    }
    case 'update': {
      const hosted = await starting.get(request.service);
      await hosted?.update?.(request.data);
      return undefined;
    }
    case 'meet':
      core.meet(new Map(request.peers.map(([threadIndex, token]) => [threadIndex, openPoster(token)])));
      return undefined;
    case 'endService': {
      const hosted = services.get(request.service);
      await hosted?.stop(request.grace);
      services.delete(request.service);
      starting.delete(request.service);
      return undefined;
    }
    case 'stop':
      // Nothing keeps the thread alive once its core has stopped.
      parent.unref();
      await core.stop(request.grace);
      return undefined;
  }
}

function refuse(id: number, thrown: unknown): void {
  try {
    tell({ id, error: carryError(thrown) });
  } catch {
    // A thrown value that is no Error may be one that no message can carry.
    tell({ id, error: carryError(new Error(describe(thrown))) });
  }
}

function tell(report: Report): void {
  parent.postMessage(report);
}
