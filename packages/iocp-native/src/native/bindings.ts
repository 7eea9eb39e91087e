// Functions of the system that koffi binds when they are first called. In a thread that has no LoadGuard and that another one may
// terminate (a Worker of a program's own) all of them are bound when it opens a port, so that the rest of its life has no such step.

import { isMainThread } from 'node:worker_threads';
import { hasGuard } from './load-guard.js';

const steps: (() => unknown)[] = [];

/** Registers the step that binds a function, for bindAll(). It may be taken more than once. */
export function bindsLater(step: () => unknown): void {
  steps.push(step);
}

/** Binds each registered function, if this thread may be terminated at any moment. To be called when a native port opens. */
export function bindAll(): void {
  if (isMainThread || hasGuard()) return;
  for (const step of steps) {
    try {
      step();
    } catch {
      // The system does not have the function. A caller of it gets this error.
    }
  }
  steps.length = 0;
}
