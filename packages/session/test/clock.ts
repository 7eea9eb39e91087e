// Time in the hand of a test: a core on real sockets, whose timers come due when the test says so, and not before.

import { type BackendName, openPort } from '@overlapped/iocp-native';
import { createSimulation } from '@overlapped/iocp-native/testing';
import type { Core } from '@overlapped/net-core/internal';
import { withCore } from './support.js';

export interface Hand {
  /** Lets so many milliseconds pass: what is due runs, in order, and nothing else happens meanwhile. */
  pass(milliseconds: number): void;
  /** The thread is held up for so long: what comes due meanwhile comes late, when time passes again. */
  holdUp(milliseconds: number): void;
}

/** Runs `use` with a core that goes by such a time. After it time goes on by itself, so that the core can stop. */
export function withClock(backend: BackendName, use: (core: Core, hand: Hand) => Promise<void>): Promise<void> {
  const { clock } = createSimulation({ seed: 1 });
  let late = 0;
  const hand: Hand = {
    pass(milliseconds) {
      const until = clock.now() + milliseconds;
      while (clock.step(until));
      clock.advance(until);
    },
    holdUp(milliseconds) {
      late += milliseconds;
    },
  };
  const system = {
    openPort,
    clock: {
      now: () => clock.now() + late,
      setTimeout: (run: () => void, delay: number) => clock.setTimeout(run, delay),
      clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
      setImmediate: (run: () => void) => void setImmediate(run),
      runTicks: () => clock.runTicks(),
    },
  };
  let goingOn: NodeJS.Timeout | undefined;
  return withCore({ backend, system }, async (core) => {
    try {
      await use(core, hand);
    } finally {
      goingOn = setInterval(hand.pass, 10, 10);
    }
  }).finally(() => clearInterval(goingOn));
}
