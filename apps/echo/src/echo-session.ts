// What a connection of the server does: what comes in goes out. Each thread that serves loads this module.

import { Session } from '@overlapped/session';

export default class Echo extends Session {
  override onReceive(data: Buffer): void {
    // False: the client does not read what it asked for. Until it does, nothing is read from it.
    if (!this.send(data)) this.pause();
  }

  override onDrain(): void {
    this.resume();
  }
}
