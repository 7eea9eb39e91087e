// Results of handlers: promises, and thrown values of any type.

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

/** The thrown value itself if it is an error of any realm; else an Error with the value as its `cause`. */
export function asError(thrown: unknown): Error {
  if (isError(thrown)) return thrown;
  return new Error(`a handler threw ${textOf(thrown)}`, { cause: thrown });
}

/** `instanceof` is false for errors of another realm (a vm context; some test runners). */
function isError(thrown: unknown): thrown is Error {
  if (thrown instanceof Error) return true;
  if (typeof thrown !== 'object' || thrown === null) return false;
  // An error of another realm, or of a class that does not extend Error.
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
