// Waiting for something to become true, checked after every event that could make it so. No sleeping, no polling.

const LIMIT = 15_000;

interface Wait {
  check(): boolean;
  give(reason: Error): void;
}

export class Waits {
  readonly #waits = new Set<Wait>();

  /** The first value other than undefined and false that `test` gives. Fails with `what` when it never does. */
  until<T>(what: string | (() => string), test: () => T | undefined | false): Promise<T> {
    const stack = new Error();
    return new Promise((resolve, reject) => {
      const first = test();
      if (first !== undefined && first !== false) {
        resolve(first);
        return;
      }
      const limit = setTimeout(() => {
        this.#waits.delete(wait);
        stack.message = `waited in vain for ${typeof what === 'string' ? what : what()}`;
        reject(stack);
      }, LIMIT);
      const wait: Wait = {
        check: () => {
          const value = test();
          if (value === undefined || value === false) return false;
          clearTimeout(limit);
          resolve(value);
          return true;
        },
        give: (error) => {
          clearTimeout(limit);
          reject(error);
        },
      };
      this.#waits.add(wait);
    });
  }

  /** Something happened. */
  check(): void {
    for (const wait of this.#waits) {
      try {
        if (wait.check()) this.#waits.delete(wait);
      } catch (error) {
        this.#waits.delete(wait);
        wait.give(error as Error);
      }
    }
  }
}
