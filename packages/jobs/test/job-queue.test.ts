// The queue of jobs that wait, against an array.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Job } from '../src/job.js';
import { JobQueue } from '../src/job-queue.js';

test('is first in, first out, and jobs may leave from anywhere', () => {
  const step = fc.oneof(fc.constant('push'), fc.constant('shift'), fc.nat());
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const queue = new JobQueue();
      const model: Job[] = [];
      const gone: Job[] = [];
      for (const action of steps) {
        if (action === 'push') {
          const job = new Job(
            '',
            () => {},
            () => {},
            undefined,
          );
          queue.push(job);
          model.push(job);
        } else if (action === 'shift') {
          expect(queue.shift()).toBe(model.shift() ?? null);
        } else if (typeof action === 'number' && model.length > 0) {
          const [job] = model.splice(action % model.length, 1);
          expect(queue.remove(job!)).toBe(true);
          gone.push(job!);
        }
        expect(queue.size).toBe(model.length);
      }
      for (const job of gone) expect(queue.remove(job)).toBe(false);
      for (const job of model) expect(queue.shift()).toBe(job);
      expect(queue.shift()).toBe(null);
    }),
  );
});
