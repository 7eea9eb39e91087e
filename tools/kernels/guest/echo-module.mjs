// Sessions in worker threads: an echo.

import { Session } from '@overlapped/session';

export default class Echo extends Session {
  onReceive(data) {
    if (!this.send(data)) this.pause();
  }

  onDrain() {
    this.resume();
  }
}
