// Carries a thrown value to another thread. structuredClone() leaves of an error its message, and a name that is one of
// the language's: code, class and properties are lost, and of a DOMException everything on Node 20. So an error travels as a
// plain object, and is made anew there.

import { IocpError, isIocpError } from '../contract/errors.js';

/** A thrown value, in a form that a message always takes. */
export type CarriedError =
  | { readonly kind: 'value'; readonly value: unknown }
  | {
      readonly kind: 'error';
      /** Which of CLASSES it is made as; `Error` for a class that only its own thread knows. */
      readonly class: string;
      readonly name: string;
      readonly message: string;
      readonly stack: string | undefined;
      /** Its own properties: `code`, `syscall`, and those that the user added. One that cannot be cloned is left out. */
      readonly fields: Readonly<Record<string, unknown>>;
      readonly cause: CarriedError | undefined;
      /** Those of an AggregateError. */
      readonly errors: readonly CarriedError[] | undefined;
    };

const CLASSES: Readonly<Record<string, { readonly prototype: Error }>> = {
  Error,
  AggregateError,
  EvalError,
  IocpError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};
const DOM_EXCEPTION = 'DOMException';
/** Causes within causes. A cause that lies deeper, or refers to itself, is cut off. */
const DEEPEST = 8;
/** Carried by themselves. */
const OWN = new Set(['name', 'message', 'stack', 'cause', 'errors']);

/** An error as a plain object; another value as it is, which a message may refuse to clone. Never throws. */
export function carryError(thrown: unknown): CarriedError {
  return carry(thrown, 0);
}

/** The thrown value, made anew. */
export function landError(carried: CarriedError): unknown {
  if (carried.kind === 'value') return carried.value;
  const { class: named, name, message, stack, fields, cause, errors } = carried;
  const error = named === DOM_EXCEPTION ? new DOMException(message, name) : blank(named, message);
  const define = (key: string, value: unknown, enumerable = false) =>
    Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
  if (stack !== undefined) define('stack', stack);
  if (cause !== undefined) define('cause', landError(cause));
  if (errors !== undefined) define('errors', errors.map(landError));
  for (const [key, value] of Object.entries(fields)) define(key, value, true);
  // A class that only the other thread knows leaves its name.
  if (error.name !== name) define('name', name);
  return error;
}

function carry(thrown: unknown, depth: number): CarriedError {
  try {
    return isError(thrown) ? carryFields(thrown, depth) : { kind: 'value', value: thrown };
  } catch {
    // One whose properties throw.
    return { kind: 'value', value: describe(thrown) };
  }
}

function carryFields(error: Error, depth: number): CarriedError {
  const { name, message, stack, cause } = error;
  const { errors } = error as AggregateError;
  const isDom = error instanceof DOMException;
  const fields: Record<string, unknown> = {};
  for (const key of Object.keys(error)) {
    if (OWN.has(key) || (isDom && key === 'code')) continue;
    const value = cloned(() => (error as unknown as Record<string, unknown>)[key]);
    if (value !== undefined) fields[key] = value;
  }
  const inner = (one: unknown): CarriedError => {
    const carried = carry(one, depth + 1);
    return carried.kind === 'error' ? carried : { kind: 'value', value: cloned(() => one) };
  };
  const deeper = depth < DEEPEST;
  return {
    kind: 'error',
    class: isDom ? DOM_EXCEPTION : classOf(error),
    name: String(name),
    message: String(message),
    stack: typeof stack === 'string' ? stack : undefined,
    fields,
    cause: deeper && cause !== undefined ? inner(cause) : undefined,
    errors: deeper && Array.isArray(errors) ? errors.map(inner) : undefined,
  };
}

/** Also one of another realm, for which `instanceof` says no. */
function isError(value: unknown): value is Error {
  if (value instanceof Error) return true;
  return Object.prototype.toString.call(value) === '[object Error]' || value instanceof DOMException;
}

function classOf(error: Error): string {
  if (isIocpError(error)) return 'IocpError';
  const known = Object.keys(CLASSES).filter((name) => name !== 'Error');
  return known.find((name) => error instanceof (CLASSES[name] as unknown as ErrorConstructor)) ?? 'Error';
}

function blank(named: string, message: string): Error {
  if (named !== 'IocpError') {
    const make = (CLASSES[named] ?? Error) as unknown as ErrorConstructor & AggregateErrorConstructor;
    return named === 'AggregateError' ? new make([], message) : new make(message as never);
  }
  // Its constructor would build the message anew.
  const error = new IocpError('', '', '', '');
  return Object.defineProperty(error, 'message', { value: message, writable: true, configurable: true });
}

/** A copy; undefined for a value that cannot be cloned. */
function cloned(read: () => unknown): unknown {
  try {
    return structuredClone(read());
  } catch {
    return undefined;
  }
}

/** The text of a thrown value. Never throws. */
export function describe(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return 'something without a description';
  }
}
