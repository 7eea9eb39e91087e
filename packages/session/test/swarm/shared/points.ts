// Calls of Atomics as points of a run: between any two of them another thread may run, and at any of them a thread may end. The
// product's code calls the global functions; while a run plays, they tell it before they do their work.

type Call = (...args: never[]) => unknown;

/** Stands in the place of one compare-and-swap; undefined leaves it to the real one. */
export type Swap = (words: Int32Array, at: number, expected: number, value: number) => number | undefined;

const names = ['add', 'compareExchange', 'exchange', 'load', 'or', 'store', 'sub'] as const;
const originals = Object.fromEntries(names.map((name) => [name, Atomics[name] as Call])) as Record<string, Call>;

export const store = Atomics.store;

/** Calls `point` before each call of Atomics, until the function that this gives is called. */
export function watchAtomics(point: () => void, swap: () => Swap | undefined): () => void {
  const atomics = Atomics as unknown as Record<string, Call>;
  for (const name of names) {
    const original = originals[name]!;
    atomics[name] = (...args) => {
      point();
      if (name === 'compareExchange') {
        const result = swap()?.(...(args as unknown as Parameters<Swap>));
        if (result !== undefined) return result;
      }
      return original(...args);
    };
  }
  return () => {
    for (const name of names) atomics[name] = originals[name]!;
  };
}
