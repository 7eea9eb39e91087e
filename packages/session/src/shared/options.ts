// The options of shared sessions.

import type { AcceptLimits } from '../accept/accept-filter.js';
import type { QueueLimitOptions } from '../session/queue-limit.js';
import type { SessionLimits } from '../session/session-set.js';
import type { SharedLimits } from './shared-threads.js';

/** Sessions of the core's shared port. */
export interface SharedSessionOptions
  extends Pick<SessionLimits, 'highWatermark' | 'lowWatermark' | 'timeouts' | 'linger' | 'slowMembers'> {
  /**
   * The module that each thread of the shared port loads: a URL, or an absolute path. Its default export is a subclass of
   * SharedSession.
   */
  readonly shared: URL | string;
  /** A session that queues more is closed with an IocpError (ENOBUFS). Default: no limit but the memory of all queues, 64 MiB. */
  readonly queueLimit?: Pick<QueueLimitOptions, 'perSession'>;
}

const DEFAULT_HIGH_WATERMARK = 262_144;

/** Throws a RangeError for watermarks that contradict each other, or the queue's limit. */
export function sharedLimits(options: SharedSessionOptions & AcceptLimits): SharedLimits {
  const { perSession = 0 } = options.queueLimit ?? {};
  const most = perSession > 0 ? perSession : Number.POSITIVE_INFINITY;
  const { highWatermark = Math.min(DEFAULT_HIGH_WATERMARK, most), lowWatermark = Math.floor(highWatermark / 4) } =
    options;
  if (lowWatermark > highWatermark) {
    throw new RangeError(`the watermarks must be 0 <= low <= high, not ${lowWatermark} and ${highWatermark}`);
  }
  if (highWatermark > most) {
    throw new RangeError(`the high watermark, ${highWatermark}, must be no more than the queue's limit, ${most}`);
  }
  const { timeouts = {}, linger = Number.POSITIVE_INFINITY } = options;
  const { maxSessions, maxSessionsPerAddress, rate, whenFull, allow, deny } = options;
  return {
    highWatermark,
    lowWatermark,
    queueLimit: perSession,
    accepts: {
      ...(maxSessions !== undefined && { maxSessions }),
      ...(maxSessionsPerAddress !== undefined && { maxSessionsPerAddress }),
      ...(rate && { rate }),
      ...(whenFull && { whenFull }),
      ...(allow && { allow }),
      ...(deny && { deny }),
    },
    closesSlow: options.slowMembers === 'close',
    timeouts,
    linger: linger * 1000,
  };
}
