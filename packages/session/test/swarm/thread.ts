// A worker thread of the swarm: a second core on the same simulation, which takes over what the listeners of the first accept.
// Everything is as in a thread, but that packets are posted by a call: a simulation has one thread, or no two runs were alike.

import assert from 'node:assert';
import type { Core, Service, WorkerService } from '@overlapped/net-core/internal';
import { adopt } from '../../src/accept/worker-entry.js';
import type { Session } from '../../src/index.js';
import { reset } from '../../src/reset.js';

export class Thread {
  readonly core: Core;
  readonly #kind: new () => Session;
  /** Handles in packets that have not come. */
  readonly #underWay = new Set<number>();

  /** Takes the place of the worker threads of `main`. */
  constructor(main: Core, core: Core, kind: new () => Session) {
    this.core = core;
    this.#kind = kind;
    Object.defineProperties(main, { threads: { value: 1 }, workers: { value: this } });
  }

  /** What a listener asks of the worker threads of its core. */
  async host(_module: string, data: object): Promise<WorkerService> {
    const { core } = this;
    const ended = new Int32Array(1);
    let hosted: Service | null = adopt(core, { ...data, session: this.#kind }, ended);
    let given = 0;
    let arrived = 0;
    const onPost = (handle: number) => {
      arrived++;
      this.#underWay.delete(handle);
      if (hosted) hosted.onSocket(handle);
      else reset(core, core.port.adopt(handle));
    };
    return {
      first: undefined,
      sessions: () => (hosted ? given - ended[0]! : 0),
      give: (handle) => {
        given++;
        this.#underWay.add(handle);
        core.post({ onPost }, handle);
      },
      update: async (data) => hosted?.update?.(data),
      stop: async (grace) => {
        await hosted?.stop(grace);
        assert.strictEqual(ended[0], arrived, 'what the thread was handed is counted out, once');
        hosted = null;
      },
    };
  }

  async stop(grace: number): Promise<void> {
    await this.core.stop(grace);
    // What a thread never dequeued is closed when it has ended: so does a port that is closed.
    for (const handle of this.#underWay) assert.throws(() => this.core.port.adopt(handle), { code: 'EBADF' });
  }
}
