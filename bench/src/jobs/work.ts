// The jobs that the pools are given; each pool loads this module in its threads.

/** Nothing: what remains is what the pool costs. */
export function noop(): void {}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks its thread for some milliseconds, as a synchronous call does that waits for a disk. */
export function block(milliseconds: number): void {
  Atomics.wait(never, 0, 0, milliseconds);
}
