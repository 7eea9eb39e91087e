// The checks of a core that stops: its memory is intact, and all of it came back. In debug mode
// (OVERLAPPED_DEBUG=1) a core that is still open when the thread exits reports its leaks, too.

import assert from 'node:assert';
import { writeSync } from 'node:fs';
import type { CompletionPort } from '@overlapped/iocp-native';
import { debugging, watchOf } from '@overlapped/iocp-native/internal';
import type { BufferPool, IocpEventPool } from '@overlapped/object-pool';
import type { BufferWaiters } from './buffer-waiters.js';

interface Memory {
  readonly port: CompletionPort;
  readonly events: Pick<IocpEventPool, 'block' | 'assertEmpty'>;
  readonly sendBuffers: BufferPool;
  readonly bufferWaiters: BufferWaiters;
}

const STDERR = 2;

/** Cores that have not stopped. */
const open = new Set<Memory>();
if (debugging) process.on('exit', reportOpen);

export function watchExit(core: Memory): void {
  if (debugging) open.add(core);
}

/** Debug mode: the AssertionError of a write past the end of a buffer, or null. To be called while the port is open. */
export function damageOf(core: Memory): unknown {
  for (const block of [core.events.block, core.sendBuffers.block, core.port.receiveBlock]) {
    try {
      watchOf(block)?.checkGuards();
    } catch (error) {
      return error;
    }
  }
  return null;
}

/** Throws an AssertionError that names each leak, and in debug mode the place where it was acquired. */
export function assertEmpty(core: Memory): void {
  open.delete(core);
  core.events.assertEmpty();
  core.sendBuffers.assertEmpty();
  core.bufferWaiters.assertEmpty();
  const { buffersOut } = core.port.stats;
  if (buffersOut !== 0) assert.fail(`${buffersOut} receive buffers are out${reportOf(core)}`);
}

function reportOf({ port }: Memory): string {
  return watchOf(port.receiveBlock)?.report() ?? '';
}

function reportOpen(): void {
  for (const core of open) {
    try {
      assertEmpty(core);
    } catch (error) {
      writeSync(STDERR, `overlapped: at exit, of a core that was not stopped: ${(error as Error).message}\n`);
    }
  }
}
