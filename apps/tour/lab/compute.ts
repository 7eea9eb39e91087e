// Work for a core, in steps: it takes longer when threads share a core.

const TRIES = 5;
const STEPS = 1_000_000;

/** Computes so many steps. The result keeps the compiler from leaving the loop out. */
export function compute(steps: number): number {
  let x = 1;
  for (let i = 0; i < steps; i++) x = (x * 48271) % 2147483647;
  return x;
}

/** Steps in a millisecond, on a core that does nothing else. */
export function measure(): number {
  let best = 0;
  for (let i = 0; i < TRIES; i++) {
    const start = performance.now();
    compute(STEPS);
    best = Math.max(best, STEPS / (performance.now() - start));
  }
  return best;
}
