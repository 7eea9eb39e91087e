// A session that drops what comes.

import { Session } from '@overlapped/session';
import { countConnection } from './agent.js';

export default class Sink extends Session {
  override onConnected(): void {
    countConnection();
  }

  override onReceive(): void {}
}
