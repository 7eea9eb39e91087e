// Rules by name, so that a backend can say which of them it skips, and why.

import { expect, it, type TestContext } from 'vitest';
import type { CompletionPort, PortOptions } from '../../src/contract/port.js';
import type { PeerNetwork } from './network.js';
import { Rig } from './rig.js';

export type Open = (options?: PortOptions) => CompletionPort;

export class Suite {
  readonly open: Open;
  readonly #skips: Readonly<Record<string, string>>;
  readonly #network: PeerNetwork;
  readonly #names = new Set<string>();

  constructor(open: Open, skips: Readonly<Record<string, string>>, network: PeerNetwork) {
    this.open = open;
    this.#skips = skips;
    this.#network = network;
  }

  rig(options?: PortOptions): Rig {
    return new Rig(this.open(options), this.#network);
  }

  rule(name: string, test: (context: TestContext) => void | Promise<void>, timeout = 30_000): void {
    this.#names.add(name);
    const reason = this.#skips[name];
    if (reason === undefined) it(name, test, timeout);
    else it.skip(`${name} (${reason})`, test);
  }

  /** To be called last: a skip that names no rule is out of date. */
  checkSkips(): void {
    it('skips rules that exist', () => {
      expect(Object.keys(this.#skips).filter((name) => !this.#names.has(name))).toEqual([]);
    });
  }
}
