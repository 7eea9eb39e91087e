// A session that streams to its client: chunks of the length that it asks for, until it goes away.

import { Session } from '@overlapped/session';
import { chunkFor, countConnection } from './agent.js';

export default class Pour extends Session {
  #chunk: Buffer = Buffer.alloc(0);

  override onConnected(): void {
    countConnection();
  }

  override onReceive(request: Buffer): void {
    this.#chunk = chunkFor(request);
    this.onDrain();
  }

  override onDrain(): void {
    while (this.send(this.#chunk));
  }
}
