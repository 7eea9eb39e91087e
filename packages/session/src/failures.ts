// Errors of user code. Each is counted and published in a diagnostics channel. It is also a process warning, unless a handler of
// the user gets it.
//
//   overlapped:session-failed    { core, session, error }: a handler threw, or its promise rejected. `session` is a Session, a
//                                DatagramSession, or null if the session's constructor threw. Of a shared session on a shared port:
//                                published in the thread that ran the handler, `core` is the view's core, the view valid until
//                                the subscriber returns
//   overlapped:tls-failed        { core, error }: the TLS handshake of a connection that a listener accepted has failed

import { channel } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import type { Core } from '@overlapped/net-core/internal';
import { Stat } from './stats.js';

/** Limit of each core's warnings in a second: a peer that makes a handler fail must not flood the log. */
const MAX_WARNINGS = 10;
const SECOND = 1000;

const { failed: FAILED } = Stat;
const sessionFailed = channel('overlapped:session-failed');

/** The warnings of one core. */
interface WarningCount {
  /** When the current second began. */
  since: number;
  /** Warnings in this second. */
  emitted: number;
  /** Warnings left out since the last one. */
  skipped: number;
}

const counts = new WeakMap<object, WarningCount>();

const tlsFailed = channel('overlapped:tls-failed');

/** Publishes the error of a handshake. The listener counts it. */
export function reportTls(core: Core, error: Error): void {
  tlsFailed.publish({ core, error });
}

/** Counts and publishes an error of user code. @param core a core, or its counterpart in a thread of a shared port */
export function report(core: Pick<Core, 'statsBlock'>, session: object | null, error: Error): void {
  core.statsBlock.values[FAILED]!++;
  sessionFailed.publish({ core, session, error });
}

/**
 * Emits a process warning, with the error's stack as its detail. Beyond ten in a second of one core, warnings are only counted; the
 * next one says how many were left out.
 */
export function warn(core: object, what: string, error: unknown): void {
  const now = performance.now();
  let state = counts.get(core);
  if (state === undefined) {
    state = { since: now, emitted: 0, skipped: 0 };
    counts.set(core, state);
  }
  if (now - state.since >= SECOND) {
    state.since = now;
    state.emitted = 0;
  }
  if (state.emitted === MAX_WARNINGS) {
    state.skipped++;
    return;
  }
  state.emitted++;
  const others = state.skipped > 0 ? ` (and ${state.skipped} warnings before this one, which were left out)` : '';
  state.skipped = 0;
  process.emitWarning(`${what}: ${shortText(error)}${others}`, {
    type: 'OverlappedWarning',
    code: 'OVERLAPPED_FAILED',
    detail: longText(error),
  });
}

// A thrown value may be of any type, even an object whose getters throw.

function shortText(error: unknown): string {
  try {
    return String(error);
  } catch {
    return 'an error without a text';
  }
}

function longText(error: unknown): string {
  try {
    return inspect(error);
  } catch {
    return shortText(error);
  }
}
