// The state of a session: bits of one number, since a server has many sessions and a field for each flag would take memory.
//
//   open -> end() or the peer's FIN (both, if half-open or a stream) -> flush -> shutdown -> peer's FIN -> close -> onDisconnected
//   any state -> destroy() or an error -> reset -> onDisconnected(error)

/** pause() was called. */
export const PAUSED = 1 << 0;
/** end() was called: send() takes no more bytes. */
export const ENDING = 1 << 1;
/** The shutdown operation that sends the FIN has started. */
export const FIN_SENT = 1 << 2;
/** The peer's FIN has arrived. */
export const PEER_ENDED = 1 << 3;
/** The socket is being closed. */
export const CLOSING = 1 << 4;
/** The core will call [onFlush](). */
export const FLUSH_PENDING = 1 << 5;
/** send() returned false, and onDrain has not been called since. */
export const CONGESTED = 1 << 6;
/** onConnected has been called or is about to be; onDisconnected has not been called. */
export const OPENED = 1 << 7;
/** The queue's limit is exceeded (`beyond: 'pause'`): receiving stops until the queue has drained. */
export const THROTTLED = 1 << 8;
/** A handler has failed: the session's error is the one that it threw. */
export const HANDLER_FAILED = 1 << 9;
/** onEnd has been called. */
export const END_REPORTED = 1 << 10;
/** There is no stream and no handler for data: received bytes are kept for a stream that is taken later. */
export const NO_READER = 1 << 11;
/** Kept bytes have reached their limit: receiving stops. */
export const KEPT_FULL = 1 << 12;
/** Kept bytes were dropped, since no stream was taken in time. */
export const KEPT_DROPPED = 1 << 13;
/** Its bytes are those of a TLS connection. */
export const SECURE = 1 << 14;

/** Receiving is stopped. */
const STOPPED = PAUSED | THROTTLED | KEPT_FULL;
/** Something continues when the queue has drained. */
export const AWAITS_DRAIN = CONGESTED | THROTTLED;

/** The connection is open and is not being closed. */
export function isOpen(state: number): boolean {
  return (state & (OPENED | CLOSING)) === OPENED;
}

/** send() takes bytes. */
export function takesBytes(state: number): boolean {
  return (state & (OPENED | ENDING | CLOSING)) === OPENED;
}

/** A receive may be in flight: the session is open, and receiving is not stopped. */
export function mayReceive(state: number): boolean {
  return (state & (OPENED | STOPPED | PEER_ENDED | CLOSING)) === OPENED;
}

/** Received bytes are delivered to onReceive, and not held. */
export function delivers(state: number): boolean {
  return (state & (STOPPED | NO_READER | CLOSING)) === 0;
}
