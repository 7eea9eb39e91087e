// Time in the hand of a test: a core on real sockets, whose timers come due when the test says so, and not before.

import { type BackendName, openPort } from '@overlapped/iocp-native';
import { createSimulation } from '@overlapped/iocp-native/testing';
import type { IocpCore } from '@overlapped/net-core';
import { withCore } from './support.js';

/** Lets so many milliseconds pass: what is due runs, in order, and nothing else happens meanwhile. */
export type Pass = (milliseconds: number) => void;

/** Runs `use` with a core that goes by such a time. After it time goes on by itself, so that the core can stop. */
export function withClock(backend: BackendName, use: (core: IocpCore, pass: Pass) => Promise<void>): Promise<void> {
  const { clock } = createSimulation({ seed: 1 });
  const pass: Pass = (milliseconds) => {
    const until = clock.now() + milliseconds;
    while (clock.step(until));
    clock.advance(until);
  };
  const system = {
    openPort,
    clock: {
      now: () => clock.now(),
      setTimeout: (run: () => void, delay: number) => clock.setTimeout(run, delay),
      clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
      setImmediate: (run: () => void) => void setImmediate(run),
    },
  };
  let goingOn: NodeJS.Timeout | undefined;
  return withCore({ backend, system }, async (core) => {
    try {
      await use(core, pass);
    } finally {
      goingOn = setInterval(pass, 10, 10);
    }
  }).finally(() => clearInterval(goingOn));
}
