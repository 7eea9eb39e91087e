// A shared session that sends what it receives.

import { SharedSession } from '@overlapped/session';

export default class Echo extends SharedSession {
  onReceive(data) {
    this.send(data);
  }
}
