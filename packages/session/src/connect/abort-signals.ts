// Callbacks for AbortSignals. Many connects may share one signal, such as that of a program's shutdown. Each signal has one
// listener here, however many connects use it, since Node warns of a leak above ten listeners.

interface Entry {
  readonly waiters: Set<() => void>;
  readonly listener: () => void;
}

const entries = new WeakMap<AbortSignal, Entry>();

/** Calls `waiter` when the signal is aborted. It must not throw. */
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

/** Undoes onAbort(). Does nothing if it was not called. */
export function offAbort(signal: AbortSignal, waiter: () => void): void {
  const entry = entries.get(signal);
  if (!entry?.waiters.delete(waiter) || entry.waiters.size > 0) return;
  entries.delete(signal);
  signal.removeEventListener('abort', entry.listener);
}
