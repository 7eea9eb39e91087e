// The statistics of sessions, datagram sessions and listeners: each core counts them, too.

import { type Core, Stat as CoreStat, registerStats } from '@overlapped/net-core/internal';

declare module '@overlapped/net-core' {
  interface CoreStats {
    /** Bytes that wait to be sent, or are being sent. */
    readonly bytesQueued: number;
    /** Connections that became sessions. */
    readonly accepted: number;
    /** Sessions that are over. */
    readonly ended: number;
    /** Connections that were reset before they became sessions, for any of the next six reasons. */
    readonly refused: number;
    /** The core, or the listener, had as many sessions as it may have. */
    readonly refusedFull: number;
    /** More connections came in a second than the listener takes. */
    readonly refusedRate: number;
    /** The address is on the deny list, or not on the allow list. */
    readonly refusedDenied: number;
    /** The address had as many sessions as one address may have. */
    readonly refusedAddress: number;
    /** No trusted, well-formed PROXY header came in time. */
    readonly refusedProxy: number;
    /** The TLS handshake failed, or took too long. */
    readonly refusedTls: number;
    /** Sessions that a timeout closed. */
    readonly timedOut: number;
    /** Handlers of sessions and datagram sessions that threw, or whose promises rejected. */
    readonly failed: number;
    /** Sessions that were closed because too many bytes waited to be sent. */
    readonly overflowed: number;
    /** Messages that were dropped because too many bytes waited to be sent. */
    readonly droppedMessages: number;
    /** Bytes that sessions have been handed. */
    readonly bytesReceived: number;
    /** Bytes that the kernel has taken to send. */
    readonly bytesSent: number;
  }
}

/** The index of each statistic in `core.statsBlock.values`. */
export const Stat = {
  ...CoreStat,
  ...registerStats(
    ['bytesQueued'],
    [
      'accepted',
      'ended',
      'refused',
      'refusedFull',
      'refusedRate',
      'refusedDenied',
      'refusedAddress',
      'refusedProxy',
      'refusedTls',
      'timedOut',
      'failed',
      'overflowed',
      'droppedMessages',
      'bytesReceived',
      'bytesSent',
    ],
  ),
};

/** Counts a session in. False if the core's quota is used up: then the refusal is counted. */
export function admit(core: Core): boolean {
  if (!core.quota.take()) {
    refuse(core, Stat.refusedFull);
    return false;
  }
  core.statsBlock.values[Stat.accepted]!++;
  return true;
}

/** Counts a connection that does not become a session, and the reason: one of the statistics `refused...`. */
export function refuse(core: Pick<Core, 'statsBlock'>, reason: number): void {
  const { values } = core.statsBlock;
  values[Stat.refused]!++;
  values[reason]!++;
}

/** Counts a session out. */
export function dismiss(core: Core): void {
  core.quota.giveBack();
  core.statsBlock.values[Stat.ended]!++;
}
