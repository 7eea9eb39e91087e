// The states that a session is in, as bits.
//
//   open -> [end(), or the peer's FIN; as a stream: both] -> flush -> shutdown -> peer's FIN -> close -> onDisconnected
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
/** A handler has failed: #error is what it threw. */
export const FAILED = 1 << 9;
/** Nothing is received. */
export const HELD_BACK = PAUSED | THROTTLED;
/** Something goes on when the queue has drained. */
export const AWAITS_DRAIN = CONGESTED | THROTTLED;
