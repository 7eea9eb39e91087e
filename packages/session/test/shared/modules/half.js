// Shared sessions that answer the end of their peers, and what they are told.

import { setImmediate as turn } from 'node:timers/promises';
import { SharedSession } from '@overlapped/session';
import { note, noteEnd } from './notes.js';

export const PEER_ENDED = -1;

export default class Half extends SharedSession {
  onConnected() {
    this.send(`${this.id}\n`);
  }

  onReceive(data) {
    const text = String(data);
    if (text === 'end') this.end('I end\n');
    else this.send(`${text}\n`);
    if (text === 'much') this.send(Buffer.alloc(24_000_000));
  }

  async onEnd() {
    note(PEER_ENDED);
    for (let i = 0; i < 3; i++) await turn();
    this.send('you end\n');
  }

  onMessage(message) {
    if (String(message) === 'end') this.end('bye\n');
    else this.send(message);
  }

  onDisconnected(error) {
    noteEnd(error);
  }
}
