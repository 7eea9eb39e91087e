// The session of the dedicated server: sends everything back.

import { Session } from '@overlapped/session';

export default class Echo extends Session {
  override onReceive(data: Buffer): void {
    this.send(data);
  }
}
