// A shared session that answers with what it gets.

import { SharedSession } from '@overlapped/session';

export default class Echo extends SharedSession {
  onReceive(data) {
    this.send(data);
  }
}
