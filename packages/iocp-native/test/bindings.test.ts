// A Worker of a program's own may be terminated at any moment, and nothing waits for it: a function that it bound then would end the process.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { candidates } from '../src/backend.js';
import { library } from './support/threads.js';

for (const { name, availability } of candidates()) {
  if (name === 'portable') continue;
  // Another platform, or another kernel.
  describe.skipIf(!availability.available)(`${name} (${availability.available || availability.reason})`, () => {
    it("binds nothing in a program's own thread once the port is open", async () => {
      const worker = new Worker(new URL('./support/bindings.js', import.meta.url), {
        workerData: { library, backend: name },
      });
      // Both may come in one turn: an 'exit' delivers the messages before it.
      const exit = once(worker, 'exit');
      expect(await once(worker, 'message')).toEqual([[]]);
      expect(await exit).toEqual([0]);
    });
  });
}
