// Shared sessions of frames, which answer with what they get. The modules beside this one have other framers.

import { setImmediate as turn } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { bool, lengthPrefixed, SharedPacketSession, u32 } from '@overlapped/session';
import { noteEnd } from './notes.js';

/** A class of sessions with a framer. Handlers of a slow one are async: they answer some turns of the event loop later. */
export const packetsOf = (framer, slow = false) =>
  class Packets extends SharedPacketSession {
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
        case 'id':
          this.sendPacket(String(this.id));
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
  };

export default packetsOf(lengthPrefixed({ size: 2, maxFrameLength: 60_000 }));
