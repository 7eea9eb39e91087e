// Binds the raw Win32 functions, each when it is first called: so they can be imported on any platform.

import { IocpError } from '../contract/errors.js';
import { bindsLater } from '../native/bindings.js';
import { koffi } from '../native/koffi.js';
import { guarded } from '../native/load-guard.js';

/** A HANDLE or a SOCKET. INVALID_HANDLE_VALUE and INVALID_SOCKET are -1. */
export type Handle = number;
/** An address of native memory, 0 for NULL. The kernel may use the memory after the call, so it cannot be a Buffer's. */
export type Address = number;
/** Memory that is used during the call only: a Buffer, an address, or null. */
export type Pointer = Uint8Array | number | null;

/** The arguments of a raw function. */
export type Values = readonly (number | Uint8Array | string | null)[];

/** A raw function. Throws an IocpError (ENOTSUP) where there is no such function. */
export interface Raw<A extends Values> {
  (...args: A): number;
  /** The same on a thread of Node's pool; `done` is called from the event loop. Throws past koffi's max_async_calls. */
  readonly async: (...args: [...A, done: (error: Error | null, result: number) => void]) => void;
  /** The bound function itself, which does not check at each call whether it is bound. */
  bound(): (...args: A) => number;
}

type Native<A extends Values> = ReturnType<Raw<A>['bound']> & Pick<Raw<A>, 'async'>;

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
  let native: Native<A> | undefined;
  const bound = () => {
    if (native) return native;
    if (process.platform !== 'win32') {
      throw new IocpError(`call ${name}`, 'this is not Windows', 'ENOTSUP', name);
    }
    native = guarded(find) as Native<A>;
    return native;
  };
  if (process.platform === 'win32') bindsLater(bound);
  const async: Raw<A>['async'] = (...args) => bound().async(...args);
  return Object.assign((...args: A) => bound()(...args), { async, bound });
}

/** The function at an address: extensions of a socket's provider are found that way. */
export function functionAt(address: bigint, result: string, parameters: string[]): unknown {
  const prototype = koffi().proto('__stdcall', result, parameters);
  return koffi().decode(address, prototype);
}
