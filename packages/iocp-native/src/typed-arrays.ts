// How the packages read a caller's typed array: by its internal slots. An own or overridden `length`, `buffer` or `byteOffset`
// (of a subclass, a proxy's target, an accessor) is never asked, so that no number from user code reaches the kernel, and no
// user code runs in the middle of an operation.

const prototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
const { call } = Function.prototype;

/** The intrinsic getter, as a function of its object. Taken when this module is loaded. */
function getter<Value>(of: object, name: string): (object: object) => Value {
  return call.bind(Object.getOwnPropertyDescriptor(of, name)!.get!) as (object: object) => Value;
}

/** Elements of a typed array; 0 when its memory is detached, or has shrunk below it. */
export const lengthOf = getter<number>(prototype, 'length');
/** Where its first byte lies in its ArrayBuffer; 0 when its memory is detached. */
export const byteOffsetOf = getter<number>(prototype, 'byteOffset');
/** Its ArrayBuffer, or SharedArrayBuffer. */
export const memoryOf = getter<ArrayBuffer>(prototype, 'buffer');

/** An array over the same bytes that is nothing but a Uint8Array. Throws a TypeError when its memory is detached. */
export function plainView(bytes: Uint8Array, length: number): Uint8Array {
  return new Uint8Array(memoryOf(bytes), byteOffsetOf(bytes), length);
}

/**
 * Copies all of `from`. False, and nothing is copied, when its memory has been taken away: optimized code of V8 may still give the
 * length that a detached array had, so a length read before is no promise.
 */
export function copyInto(to: Uint8Array, at: number, from: Uint8Array): boolean {
  try {
    to.set(from, at);
    return true;
  } catch {
    return false;
  }
}
