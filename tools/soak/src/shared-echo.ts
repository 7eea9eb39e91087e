// The echo with shared sessions. Some handlers block their thread, some are async, and some tell their own session something: the
// bytes of each session must come back in order all the same.

import { setImmediate as turn } from 'node:timers/promises';
import { SharedSession, u32 } from '@overlapped/session';

const state = { received: u32, told: u32 };
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const BLOCK = 5;

export default class SharedEcho extends SharedSession<typeof state> {
  static override state = state;

  override onReceive(data: Buffer): unknown {
    this.state.received += 1;
    switch (this.state.received % 16) {
      case 3:
        Atomics.wait(sleeper, 0, 0, BLOCK);
        break;
      case 7:
        this.core.tell(this.id, data.subarray(0, 100));
        break;
      case 11:
        return this.#later(Buffer.from(data));
    }
    this.send(data);
    return undefined;
  }

  override onMessage(): void {
    this.state.told += 1;
  }

  async #later(data: Buffer): Promise<void> {
    await turn();
    this.send(data);
  }
}
