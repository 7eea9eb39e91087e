// The sessions of blocking.js. `this` is valid for one handler; what a session keeps lies in its state, in shared memory.

import { threadId } from 'node:worker_threads';
import { SharedSession, u32 } from '@overlapped/session';

const state = { requests: u32 };

/** @extends {SharedSession<typeof state>} */
export default class Blocking extends SharedSession {
  static state = state;

  /** @param {Buffer} data @override */
  onReceive(data) {
    this.state.requests += 1;
    if (data.toString().startsWith('slow')) queryDatabase();
    this.send(`request ${this.state.requests}, by thread ${threadId}\n`);
  }
}

/** A driver that blocks its thread until the answer is there. */
function queryDatabase() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
}
