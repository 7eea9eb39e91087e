// A session that echoes, and reports how everything else on its thread fares when it is asked.

import { Session } from '@overlapped/session';
import { ASK, life } from './life.js';

export default class LifeSession extends Session {
  override onReceive(data: Buffer): unknown {
    if (data.length === ASK.length) return life().then((report) => this.send(report));
    return this.send(data);
  }
}
