// Turns of process.nextTick() and of promises between two packets. Node runs them after each callback of its own; a pump serves
// many packets in one callback, so it asks for them. net.Socket gives each of its events such a turn, and code depends on it:
// `await once(stream, 'data')` and then `stream.on('data')` must miss nothing.

// A tick that throws leaves its mark on Node's stack of async contexts, until Node tells of the uncaught exception. A context that
// were left meanwhile would find another's on top, which ends the process. So no AsyncResource's scope may be open around this.
//
// Node runs its own immediates with this function between them. It has no other public name, and with --pending-deprecation it
// is a wrapper that warns, or throws.
const { _tickCallback: run } = process as { _tickCallback?: () => void };

/** Null where the runtime has no such function. */
export const runTicks: (() => void) | null = typeof run === 'function' && run.name === 'runNextTicks' ? run : null;
