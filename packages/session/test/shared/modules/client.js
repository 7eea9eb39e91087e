// Shared sessions that tell a client its address, and send back what it says.

import { SharedSession } from '@overlapped/session';
import { noteEnd } from './notes.js';

export default class Told extends SharedSession {
  onConnected() {
    this.send(`${this.remote.address} ${this.remote.port}\n`);
  }

  onReceive(data) {
    this.send(data);
  }

  onDisconnected(error) {
    noteEnd(error);
  }
}
