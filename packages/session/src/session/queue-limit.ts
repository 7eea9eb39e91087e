// The most bytes that may wait to be sent, for one session and in all. Session.send() asks, and does what `beyond` says.

import { IocpError } from '@overlapped/iocp-native';
import { type IocpCore, Stat } from '@overlapped/net-core';
import type { Session } from './session.js';

/** The most bytes that may wait to be sent. Those of files do not count. */
export interface QueueLimitOptions {
  /** Bytes of one session. Default: no limit. */
  readonly perSession?: number;
  /** Bytes of all sessions of the thread's core, whoever listens for them. Default: no limit. */
  readonly inAll?: number;
  /**
   * What becomes of a send() that would exceed a limit. Default `close`.
   * - `close`: the session closes with an IocpError (ENOBUFS)
   * - `drop`: the message is dropped and counted; send() says false, and onDrain follows
   * - `pause`: it is queued, but the session receives no more until its queue is down to the low watermark. For a server
   *   that sends because it was asked: the peer that does not read its answers has no more questions read
   *
   * A broadcast passes over the session in any case.
   */
  readonly beyond?: 'close' | 'drop' | 'pause';
}

const { bytesQueued: QUEUED, overflowed: OVERFLOWED, droppedMessages: DROPPED } = Stat;

export class QueueLimit {
  readonly perSession: number;
  readonly #beyond: 'close' | 'drop' | 'pause';
  readonly #inAll: number;
  readonly #stats: Float64Array;

  /** Throws a RangeError for a limit that is not above 0. */
  constructor(core: IocpCore, options: QueueLimitOptions) {
    const { perSession = Number.POSITIVE_INFINITY, inAll = Number.POSITIVE_INFINITY, beyond = 'close' } = options;
    if (!(perSession > 0 && inAll > 0)) throw new RangeError(`limits must be above 0: ${JSON.stringify(options)}`);
    this.#beyond = beyond;
    this.perSession = perSession;
    this.#inAll = inAll;
    this.#stats = core.statsBlock.values;
  }

  /** Whether a session that has `queued` bytes may queue `more`. */
  admits(queued: number, more: number): boolean {
    return queued + more <= this.perSession && this.#stats[QUEUED]! + more <= this.#inAll;
  }

  /** A session wants to send more than is admitted. True when that is queued all the same. */
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
