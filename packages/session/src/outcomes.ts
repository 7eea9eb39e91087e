// What a handler may give back or throw.

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

/** What was thrown, as it is when it is an error of any realm; else in an Error. */
export function asError(thrown: unknown): Error {
  if (isError(thrown)) return thrown;
  return new Error(`a handler threw ${textOf(thrown)}`, { cause: thrown });
}

/** `instanceof` is false for the errors of another realm: of a vm context, or under a test runner that has one. */
function isError(thrown: unknown): thrown is Error {
  if (thrown instanceof Error) return true;
  if (typeof thrown !== 'object' || thrown === null) return false;
  // An error of another realm, or a class of errors that does not extend Error.
  try {
    const { name, message } = thrown as Partial<Error>;
    return typeof name === 'string' && typeof message === 'string';
  } catch {
    return false;
  }
}

function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return 'what has no text';
  }
}

/** For what no session is to blame for: an uncaught exception. */
export function surface(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
