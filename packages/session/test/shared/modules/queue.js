// Shared sessions that send so many bytes, of one letter, as their client says: 'send 1000 a', and note the result.

import { setImmediate as turn } from 'node:timers/promises';
import { lines, SharedPacketSession } from '@overlapped/session';
import { note, noteEnd } from './notes.js';

export const DRAINED = -1;
/** The results of send(). */
export const SENT = 1;
export const REFUSED = 0;
/** Is noted for each frame. */
export const GOT = 2;

export default class Queue extends SharedPacketSession {
  static framer = lines();

  onPacket(frame) {
    const [command, length, letter] = String(frame).split(' ');
    note(GOT);
    if (command === 'send') note(this.send(Buffer.alloc(Number(length), letter)) ? SENT : REFUSED);
    if (command === 'id') this.send(String(this.id));
    if (command === 'later') return this.later(Number(length), letter);
    if (command === 'exit') process.exit(3);
    return undefined;
  }

  async later(length, letter) {
    await turn();
    note(this.send(Buffer.alloc(length, letter)) ? SENT : REFUSED);
  }

  onDrain() {
    note(DRAINED);
  }

  onDisconnected(error) {
    noteEnd(error);
  }
}
