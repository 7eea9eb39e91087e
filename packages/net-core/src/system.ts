// The system that a core runs on: it opens the port and gives the time. This system's own; or a simulation's, for tests.

import { type CompletionPort, type OpenOptions, openPort } from '@overlapped/iocp-native';
import { runTicks } from './ticks.js';

/** A clock and its timers. Moments are milliseconds. */
export interface Clock {
  /** Only differences mean something; it never goes back. */
  now(): number;
  /** Gives a handle for clearTimeout(). */
  setTimeout(run: () => void, delay: number): unknown;
  /** Harmless for a timer that has run, and for undefined. */
  clearTimeout(timer: unknown): void;
  /** In the next turn of the event loop. */
  setImmediate(run: () => void): void;
  /**
   * Runs the ticks of process.nextTick() and the microtasks; throws the error of a tick. Called from callbacks of the
   * event loop alone. Null where the runtime cannot: then a pump serves one packet in each turn of the loop.
   */
  readonly runTicks: (() => void) | null;
}

/** The parts of a system that a core uses. */
export interface System {
  /** Opens the core's port. Throws an IocpError as openPort() of `@overlapped/iocp-native` does. */
  openPort(options: OpenOptions): CompletionPort;
  /** The clock of the core's timers and turns. */
  readonly clock: Clock;
}

// Timers are looked up at each call, as tests put other ones in their place. An immediate is no matter of time, and the network
// must go on in such a test.
const { setImmediate } = globalThis;

export const thisSystem: System = {
  openPort,
  clock: {
    now: () => performance.now(),
    setTimeout: (run, delay) => setTimeout(run, delay),
    clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
    setImmediate: (run) => void setImmediate(run),
    runTicks,
  },
};
