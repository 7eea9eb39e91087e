// A shared session of frames. The query of its URL names the framer.

import { setImmediate as turn } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { bool, delimited, fixedLength, lengthPrefixed, lines, SharedPacketSession, u32 } from '@overlapped/session';
import { noteEnd } from './notes.js';

const FRAMERS = {
  prefix: () => lengthPrefixed({ size: 2, maxFrameLength: 60_000 }),
  varint: () => lengthPrefixed({ size: 'varint' }),
  delimiter: () => delimited('<>'),
  line: () => lines({ maxFrameLength: 1000 }),
  fixed: () => fixedLength(7),
};

const framer = FRAMERS[new URL(import.meta.url).searchParams.get('framer') ?? 'prefix']();
/** Each handler is async, and its promise settles some turns of the event loop later. */
const slow = import.meta.url.includes('slow');

export default class Packets extends SharedPacketSession {
  static framer = framer;
  static state = { next: u32, busy: bool };

  onPacket(packet) {
    if (this.state.busy) throw new Error('two turns at once');
    if (slow) return this.later(String(packet));
    this.answer(String(packet));
    return undefined;
  }

  async later(text) {
    this.state.busy = true;
    for (let i = 0; i < 3; i++) await turn();
    this.state.busy = false;
    this.answer(text);
  }

  answer(text) {
    const [command, argument] = text.split(' ');
    switch (command) {
      case 'who':
        this.sendPacket(String(threadId));
        break;
      case 'exit':
        process.exit(3);
        break;
      case 'number':
        // Answers the first that is out of order, and the last.
        if (Number(argument) !== this.state.next++) this.end('wrong');
        else if (Number(argument) === 1999) this.end('ok');
        break;
      default:
        this.sendPacket(text);
    }
  }

  onDisconnected(error) {
    noteEnd(error);
  }
}
