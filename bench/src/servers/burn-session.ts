// A session that keeps its thread busy for a while before it answers. Time in which the thread is off its core counts.

import { Session } from '@overlapped/session';

const MILLISECONDS = 0.2;

export default class Burn extends Session {
  override onReceive(data: Buffer): void {
    const end = performance.now() + MILLISECONDS;
    while (performance.now() < end);
    this.send(data);
  }
}
