// How the raw Win32 functions are bound: lazily, so that importing them asks nothing of the platform.

import { IocpError } from '../errors.js';
import { koffi } from '../koffi.js';

/** A HANDLE or a SOCKET. INVALID_HANDLE_VALUE and INVALID_SOCKET are -1. */
export type Handle = number;
/** An address of native memory, 0 for NULL: what the kernel keeps beyond the call, so no Buffer will do. */
export type Address = number;
/** What is only used during the call: a Buffer, an address, or null. */
export type Pointer = Uint8Array | number | null;

export type Values = readonly (number | Uint8Array | string | null)[];
type Native<A extends Values> = (...args: A) => number;
type NativeAsync<A extends Values> = (...args: [...A, done: (error: Error | null, result: number) => void]) => void;

/** A raw function. Throws an IocpError (ENOTSUP) where there is no such function. */
export interface Raw<A extends Values> {
  (...args: A): number;
  /** The same on a thread of Node's pool; `done` is called from the event loop. Throws past koffi's max_async_calls. */
  readonly async: NativeAsync<A>;
  /** The bound function itself, for a loop that should not ask each time whether it is bound. */
  bound(): Native<A>;
}

export const HANDLE = 'intptr_t';
export const ADDRESS = 'uintptr_t';
export const POINTER = 'void *';

/** Declares the functions of one DLL. */
export function library(file: string) {
  return <A extends Values>(name: string, result: string, ...parameters: string[]): Raw<A> =>
    raw(name, () => koffi().load(file).func('__stdcall', name, result, parameters));
}

/** A raw function that `find` binds when it is first called. */
export function raw<A extends Values>(name: string, find: () => unknown): Raw<A> {
  let native: (Native<A> & { async: NativeAsync<A> }) | undefined;
  const bound = () => {
    if (native) return native;
    if (process.platform !== 'win32') {
      throw new IocpError(`call ${name}`, 'this is not Windows', 'ENOTSUP', name);
    }
    native = find() as Native<A> & { async: NativeAsync<A> };
    return native;
  };
  const async: NativeAsync<A> = (...args) => bound().async(...args);
  return Object.assign((...args: A) => bound()(...args), { async, bound });
}

/** The function that lies at an address, as an extension of a socket's provider does. */
export function functionAt(address: bigint, result: string, parameters: string[]): unknown {
  const prototype = koffi().proto('__stdcall', result, parameters);
  return koffi().decode(address, prototype);
}
