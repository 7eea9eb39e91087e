// QueueLimit: limits of queued bytes, for one session and for all. Session.send() asks it, and acts as `beyond` says.

import { IocpError } from '@overlapped/iocp-native';
import type { Core } from '@overlapped/net-core/internal';
import { Stat } from '../stats.js';
import type { Session } from './session.js';

/** Limits of bytes that are queued to be sent. Bytes of files do not count. */
export interface QueueLimitOptions {
  /** Bytes of one session. Default: no limit. */
  readonly perSession?: number;
  /**
   * Bytes of all sessions of the thread's core, of all its listeners and connectors; for shared sessions, of all shared sessions of the
   * core. Default: no limit. (All queues of shared sessions together have 64 MiB of memory; a session that finds none is closed.)
   */
  readonly inAll?: number;
  /**
   * The effect of a send() beyond a limit. Default `close`.
   * - `close`: the session closes with an IocpError (ENOBUFS)
   * - `drop`: the message is dropped and counted; send() returns false, and onDrain follows
   * - `pause`: the message is queued, and the session receives nothing until its queue is down to the low watermark. It is
   *   for servers that answer requests: a peer that does not read answers cannot send more requests
   *
   * A broadcast skips such a session in any case.
   */
  readonly beyond?: 'close' | 'drop' | 'pause';
}

const { bytesQueued: QUEUED, overflowed: OVERFLOWED, droppedMessages: DROPPED } = Stat;

export class QueueLimit {
  readonly perSession: number;
  readonly #beyond: 'close' | 'drop' | 'pause';
  readonly #inAll: number;
  readonly #stats: Float64Array;

  constructor(core: Core, options: QueueLimitOptions) {
    const { perSession = Number.POSITIVE_INFINITY, inAll = Number.POSITIVE_INFINITY, beyond = 'close' } = options;
    this.#beyond = beyond;
    this.perSession = perSession;
    this.#inAll = inAll;
    this.#stats = core.statsBlock.values;
  }

  /** Whether a session that has `queued` bytes may queue `more`. */
  admits(queued: number, more: number): boolean {
    return queued + more <= this.perSession && this.#stats[QUEUED]! + more <= this.#inAll;
  }

  /** Called for a send() that admits() refused. True if its bytes are queued all the same. */
  exceeded(session: Session): boolean {
    if (this.#beyond === 'pause') return true;
    if (this.#beyond === 'drop') {
      this.#stats[DROPPED]!++;
      return false;
    }
    this.#stats[OVERFLOWED]!++;
    session.destroy(new IocpError('send', 'too many bytes wait already', 'ENOBUFS', 'send'));
    return false;
  }
}

/** The error of a session that a broadcast closes. */
export function tooSlow(): IocpError {
  return new IocpError('broadcast to the session', 'too many bytes wait already', 'ENOBUFS', 'broadcast');
}
