// The sessions of the server: each sends back the bytes that it receives. Each thread that serves loads this module.

import { Session } from '@overlapped/session';

export default class Echo extends Session {
  override onReceive(data: Buffer): void {
    // False: the client does not read its answers. Until it does, the session receives nothing.
    if (!this.send(data)) this.pause();
  }

  override onDrain(): void {
    this.resume();
  }
}
