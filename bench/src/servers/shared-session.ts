// The session of the shared server: does what a message asks for, and sends it back.

import { SharedSession } from '@overlapped/session';
import { doAsAsked } from './asked.js';

export default class Asked extends SharedSession {
  override onReceive(data: Buffer): void {
    doAsAsked(data);
    this.send(data);
  }
}
