// The raw functions of Windows, replaced: each call is written down, and answered as a test says. For what Wine does not
// show, and for systems that have none of them.

type Call = readonly [name: string, ...args: unknown[]];

export class FakeWin32 {
  calls: Call[] = [];
  /** What a function gives, by its name: a number, or what makes it of the arguments. Default 0. */
  answers: Record<string, number | ((...args: never[]) => number)> = {};

  /** Replaces the functions of one module. What else it exports stays. */
  replace<M extends object>(module: M): M {
    const entries = Object.entries(module).map(([name, value]) =>
      typeof value === 'function' && 'bound' in value ? [name, this.#fake(name)] : [name, value],
    );
    return Object.fromEntries(entries) as M;
  }

  reset(answers: FakeWin32['answers'] = {}): void {
    this.calls = [];
    this.answers = answers;
  }

  /** The arguments of the calls of one function, in order. */
  of(name: string): unknown[][] {
    return this.calls.filter((call) => call[0] === name).map(([, ...args]) => args);
  }

  #fake(name: string): unknown {
    const fake = (...args: unknown[]) => {
      // A buffer may be used again.
      this.calls.push([name, ...args.map((arg) => (arg instanceof Uint8Array ? Buffer.from(arg) : arg))]);
      const answer = this.answers[name] ?? 0;
      return typeof answer === 'function' ? answer(...(args as never[])) : answer;
    };
    return Object.assign(fake, { bound: () => fake, async: fake });
  }
}
