// What an AbortSignal gives up: many connects may share one, as a program's shutdown does. It has one listener, however many
// they are, as Node warns of a leak beyond ten.

interface Entry {
  readonly waiters: Set<() => void>;
  readonly listener: () => void;
}

const entries = new WeakMap<AbortSignal, Entry>();

/** Has `waiter` called when the signal is raised. It must not throw. */
export function onAbort(signal: AbortSignal, waiter: () => void): void {
  let entry = entries.get(signal);
  if (entry === undefined) {
    const waiters = new Set<() => void>();
    const listener = () => {
      for (const aborted of waiters) aborted();
    };
    signal.addEventListener('abort', listener, { once: true });
    entry = { waiters, listener };
    entries.set(signal, entry);
  }
  entry.waiters.add(waiter);
}

/** Undoes onAbort(). Harmless when it was not called. */
export function offAbort(signal: AbortSignal, waiter: () => void): void {
  const entry = entries.get(signal);
  if (!entry?.waiters.delete(waiter) || entry.waiters.size > 0) return;
  entries.delete(signal);
  signal.removeEventListener('abort', entry.listener);
}
