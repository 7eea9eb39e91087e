// A shared session that does what its client says, one command a message. What happens is noted in memory that the test has, too:
// see script.ts.

import { setImmediate as turn } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { SharedSession, u32 } from '@overlapped/session';
import { memory, note, noteEnd } from './notes.js';

let notes = memory();

const RUNNING = 0;
const MOST = 1;
const FLAGS = 2048;

function begin() {
  const running = Atomics.add(notes, RUNNING, 1) + 1;
  for (let most = Atomics.load(notes, MOST); running > most; most = Atomics.load(notes, MOST)) {
    Atomics.compareExchange(notes, MOST, most, running);
  }
}

export default class Script extends SharedSession {
  static state = { asked: u32 };

  onConnected() {
    // On the core's own thread the module is loaded once for all tests.
    notes = memory();
  }

  onReceive(data) {
    const [command, argument = ''] = String(data).split(' ');
    const number = Number(argument);
    this.state.asked += 1;
    switch (command) {
      case 'who':
        this.send(String(threadId));
        return undefined;
      case 'asked':
        this.send(String(this.state.asked));
        return undefined;
      case 'id':
        this.send(String(this.id));
        return undefined;
      case 'log':
        note(number);
        this.send('logged');
        return undefined;
      case 'spin':
        note(number);
        while (Atomics.load(notes, FLAGS + number) === 0);
        this.send('spun');
        return undefined;
      case 'block':
        note(number);
        Atomics.wait(notes, FLAGS + number, 0);
        this.send('blocked');
        return undefined;
      case 'hold':
        note(threadId);
        Atomics.wait(notes, FLAGS + number, 0);
        return undefined;
      case 'compute': {
        begin();
        // The garbage collector runs, and waits for locks of the process.
        for (let i = 0; i < 40; i++) Array.from({ length: 5000 }, (_, j) => ({ i, j }));
        Atomics.sub(notes, RUNNING, 1);
        this.send('computed');
        return undefined;
      }
      case 'later':
        return this.later(number);
      case 'fill':
        this.fill();
        return undefined;
      case 'much':
        // More than the kernel takes for a peer that does not read.
        this.send(Buffer.alloc(24_000_000));
        note(number);
        return undefined;
      case 'fillLater':
        this.fill();
        return this.later(number);
      case 'tell':
        this.send(String(this.core.tell(number, 'told')));
        return undefined;
      case 'throw':
        throw new Error('the handler threw');
      case 'exit':
        process.exit(3);
        return undefined;
      case 'destroyThenEnd':
        this.destroy();
        this.end();
        return undefined;
      case 'end':
        this.end('bye');
        return undefined;
      default:
        return undefined;
    }
  }

  fill() {
    const piece = Buffer.alloc(65_536);
    let sent = 0;
    for (let more = true; more; sent++) {
      piece.fill(sent & 0xff);
      more = this.send(piece);
    }
    note(sent);
  }

  async later(number) {
    note(number);
    while (Atomics.load(notes, FLAGS + number) === 0) await turn();
    this.send('later');
  }

  onDrain() {
    note(-1);
    this.send('drained');
  }

  onMessage(message) {
    const [command, argument] = String(message).split(' ');
    if (command === 'log') note(Number(argument));
    else this.send(message);
  }

  onDisconnected(error) {
    if (error?.message === 'the handler threw') note(-102);
    else noteEnd(error);
  }
}
