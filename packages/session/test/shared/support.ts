// What the tests of shared sessions have in common.

import { readdirSync } from 'node:fs';
import { candidates } from '@overlapped/iocp-native';
import { koffi } from '@overlapped/iocp-native/internal';
import type { IocpCoreOptions } from '@overlapped/net-core';
import { Core } from '@overlapped/net-core/internal';
// The built package, as the threads' modules see it: a class of another copy is no class of ours.
import { Listener, type SharedListenerOptions } from '@overlapped/session';
import { onTestFinished } from 'vitest';
import type { SharedHost } from '../../src/shared/host.js';
import { Field, type SharedTable } from '../../src/shared/table.js';

/** The kernel's part of a shared port for sockets here, if there is one. */
export const kernel = candidates().find(
  ({ name, availability }) => (name === 'epoll' || name === 'iocp') && availability.available,
)?.name;
export const available = kernel !== undefined;
/** Wine runs the programs of Windows. */
export const wine = process.env.WINEPREFIX !== undefined && kernel === 'iocp';

/** Descriptors, or handles, of this process. */
export function handleCount(): number {
  if (kernel !== 'iocp') return readdirSync('/proc/self/fd').length;
  const kernel32 = koffi().load('kernel32.dll');
  const count = [0];
  kernel32.func('int GetProcessHandleCount(intptr_t, _Out_ uint32_t *)')(-1, count);
  return count[0]!;
}

/** A listener with shared sessions of one of the modules beside this file. It ends with the test. */
export async function serveShared(
  module: string,
  options: IocpCoreOptions = {},
  more: Partial<SharedListenerOptions> = {},
  given?: Core,
) {
  const losses: Error[] = [];
  const core =
    given ?? new Core({ concurrency: 2, maxSessions: 1024, onWorkerLost: (error) => losses.push(error), ...options });
  if (given === undefined) onTestFinished(() => core.stop(500));
  const shared = new URL(`./modules/${module}.js`, import.meta.url);
  const listener = await Listener.listen(core, { host: '127.0.0.1', port: 0, shared, ...more });
  return { core, listener, losses, port: listener.endpoint.port };
}

/** The table of a core's shared port. */
export const tableOf = (core: Core): SharedTable => (core.sharedSessions as SharedHost).table;

/** Bytes of half frames, and of parts of PROXY headers, of all sessions of a shared port. */
export function halfFrames(core: Core): number {
  const table = tableOf(core);
  let bytes = 0;
  for (let slot = 0; slot < table.used; slot++) bytes += table.frames.lengthOf(table.at(slot) + Field.Frame);
  return bytes;
}
