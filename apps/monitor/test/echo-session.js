// What the tests' server does with a connection: what comes in goes out. Each thread that serves loads this module.

import { Session } from '@overlapped/session';

export default class Echo extends Session {
  onReceive(data) {
    this.send(data);
  }
}
