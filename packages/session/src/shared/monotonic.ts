// A clock that all threads of the process agree on: performance.now() begins anew in each of them.

/** Milliseconds. */
export function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
