// A shared session that checks its bytes: the byte at place n of the stream is n modulo 251. One handler in two is async.

import { setImmediate as turn } from 'node:timers/promises';
import { bool, SharedSession, u32 } from '@overlapped/session';

const TOTAL = 100_000;

export default class Numbered extends SharedSession {
  static state = { at: u32, busy: bool, bad: bool };

  onReceive(data) {
    const { state } = this;
    if (state.busy) state.bad = true;
    state.busy = true;
    for (const byte of data) {
      if (byte !== state.at % 251) state.bad = true;
      state.at += 1;
    }
    if (data.length % 2 === 0) return this.finishLater();
    this.finish();
    return undefined;
  }

  async finishLater() {
    await turn();
    this.finish();
  }

  finish() {
    const { state } = this;
    state.busy = false;
    if (state.bad) this.end('bad');
    else if (state.at === TOTAL) this.end('ok');
  }
}
