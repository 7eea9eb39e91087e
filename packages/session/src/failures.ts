// Errors of user code: each is counted, published in a diagnostics channel and, unless the user has a handler that gets it,
// told in a process warning.
//
//   overlapped:session-failed    { core, session, error }: a handler threw, or its promise rejected. `session` is a Session, a
//                                DatagramSession, or null for a session whose constructor threw

import { channel } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { type IocpCore, Stat } from '@overlapped/net-core';

/** Warnings of one second, of each core: a peer that makes a handler fail at will must not flood the log. */
const MOST_WARNINGS = 10;
const SECOND = 1000;

const { failed: FAILED } = Stat;
const sessionFailed = channel('overlapped:session-failed');

/** The warnings of one core. */
interface Told {
  /** When the second began. */
  since: number;
  /** In this second. */
  told: number;
  /** Left out since the last one. */
  untold: number;
}

const toldOf = new WeakMap<IocpCore, Told>();

/** Counts and publishes an error of user code. */
export function report(core: IocpCore, session: object | null, error: Error): void {
  core.statsBlock.values[FAILED]!++;
  sessionFailed.publish({ core, session, error });
}

/**
 * A process warning, with the error's stack as its detail. Beyond ten in a second of one core they are only counted, and the next one
 * says how many were left out.
 */
export function warn(core: IocpCore, what: string, error: unknown): void {
  const now = performance.now();
  let state = toldOf.get(core);
  if (state === undefined) {
    state = { since: now, told: 0, untold: 0 };
    toldOf.set(core, state);
  }
  if (now - state.since >= SECOND) {
    state.since = now;
    state.told = 0;
  }
  if (state.told === MOST_WARNINGS) {
    state.untold++;
    return;
  }
  state.told++;
  const others = state.untold > 0 ? ` (and ${state.untold} warnings before this one, which were left out)` : '';
  state.untold = 0;
  process.emitWarning(`${what}: ${shortText(error)}${others}`, {
    type: 'OverlappedWarning',
    code: 'OVERLAPPED_FAILED',
    detail: longText(error),
  });
}

// What was thrown may be anything: an object that throws when it is read, too.

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
