// The options of shared sessions.

import type { AcceptLimits } from '../accept/accept-filter.js';
import type { SessionLimits } from '../session/session-set.js';
import type { SharedLimits } from './shared-threads.js';

/** Sessions of the core's shared port. */
export interface SharedSessionOptions
  extends Pick<
    SessionLimits,
    'highWatermark' | 'lowWatermark' | 'timeouts' | 'linger' | 'allowHalfOpen' | 'slowMembers' | 'queueLimit'
  > {
  /**
   * The module that each thread of the shared port loads: a URL, or an absolute path. Its default export is a subclass of
   * SharedSession.
   */
  readonly shared: URL | string;
}

const DEFAULT_HIGH_WATERMARK = 262_144;

/** Throws a RangeError for watermarks that contradict each other, or the queue's limit. */
export function sharedLimits(options: SharedSessionOptions & AcceptLimits): SharedLimits {
  const { queueLimit = {} } = options;
  const { perSession: most = Number.POSITIVE_INFINITY } = queueLimit;
  const { highWatermark = Math.min(DEFAULT_HIGH_WATERMARK, most), lowWatermark = Math.floor(highWatermark / 4) } =
    options;
  if (lowWatermark > highWatermark) {
    throw new RangeError(`the watermarks must be 0 <= low <= high, not ${lowWatermark} and ${highWatermark}`);
  }
  if (highWatermark > most) {
    throw new RangeError(`the high watermark, ${highWatermark}, must be no more than the queue's limit, ${most}`);
  }
  const { timeouts = {}, linger = Number.POSITIVE_INFINITY } = options;
  const { maxSessions, maxSessionsPerAddress, rate, whenFull, allow, deny, proxy } = options;
  return {
    highWatermark,
    lowWatermark,
    queueLimit,
    allowHalfOpen: options.allowHalfOpen === true,
    accepts: {
      ...(maxSessions !== undefined && { maxSessions }),
      ...(maxSessionsPerAddress !== undefined && { maxSessionsPerAddress }),
      ...(rate && { rate }),
      ...(whenFull && { whenFull }),
      ...(allow && { allow }),
      ...(deny && { deny }),
      ...(proxy && { proxy }),
    },
    closesSlow: options.slowMembers === 'close',
    timeouts,
    linger: linger * 1000,
  };
}
