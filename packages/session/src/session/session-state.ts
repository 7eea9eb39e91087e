// The states that a session is in, as bits.
//
//   open -> [end(), or the peer's FIN; half-open, and as a stream: both] -> flush -> shutdown -> peer's FIN -> close -> onDisconnected
//   any state -> destroy() or an error -> reset -> onDisconnected(error)

export const PAUSED = 1 << 0;
/** end() was called: nothing more is taken to be sent. */
export const ENDING = 1 << 1;
/** The FIN is sent, or about to be. */
export const SHUT = 1 << 2;
/** The peer's FIN has come. */
export const PEER_ENDED = 1 << 3;
/** The socket is being closed. */
export const CLOSING = 1 << 4;
/** The core will call [onFlush](). */
export const DIRTY = 1 << 5;
/** send() said false, and onDrain has not been called since. */
export const CONGESTED = 1 << 6;
/** The socket is there, and onDisconnected has not been called. */
export const OPENED = 1 << 7;
/** More waits than the queue's limit: nothing is received until it has drained. */
export const THROTTLED = 1 << 8;
/** onEnd has been called. */
export const END_TOLD = 1 << 10;
/** There is no stream, and none of the handlers that it takes the place of: what comes is kept for a stream that is taken later. */
export const UNTAKEN = 1 << 11;
/** So much is kept that nothing more is received. */
export const SATED = 1 << 12;
/** What was kept has been dropped, since no stream was taken in time. */
export const DROPPED = 1 << 13;
/** A handler has failed: #error is what it threw. */
export const FAILED = 1 << 9;
/** Nothing is received. */
export const HELD_BACK = PAUSED | THROTTLED | SATED;
/** What has been received is not handed out. */
export const KEPT = HELD_BACK | UNTAKEN;
/** Something goes on when the queue has drained. */
export const AWAITS_DRAIN = CONGESTED | THROTTLED;
