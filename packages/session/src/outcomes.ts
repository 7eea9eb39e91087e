// What a handler may give back or throw, and what becomes of it.

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`a handler threw ${String(thrown)}`);
}

/** A handler's promise may reject: that closes the session, too. */
export function follow(session: { destroy(error: Error): void }, result: unknown): void {
  if (isThenable(result)) result.then(undefined, (error: unknown) => session.destroy(asError(error)));
}

/** Runs onDisconnected, which has no session left to close. */
export function runLast(handler: () => unknown): void {
  try {
    const result = handler();
    if (isThenable(result)) result.then(undefined, warn);
  } catch (error) {
    warn(error);
  }
}

/** Tells of an error that nobody else gets. */
export function warn(error: unknown): void {
  process.emitWarning(asError(error));
}

/** For what no session is to blame for: an uncaught exception. */
export function surface(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
