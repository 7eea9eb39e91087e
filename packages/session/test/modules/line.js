// A session module for the worker tests: does what a message says, and sends everything else back.

import { existsSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { Session } from '@overlapped/session';

const hoard = [];
let posted = '';

export function onPost(key, bytes) {
  posted = `${key} ${bytes}`;
}

export default class Line extends Session {
  onReceive(data) {
    const text = data.toString();
    if (text === 'who') this.send(String(threadId));
    else if (text === 'where') this.send(String(this.remoteAddress));
    else if (text === 'posted') this.send(posted || 'nothing');
    else if (text === 'throw') throw new Error('in a handler');
    else if (text === 'crash') setImmediate(crash);
    else if (text === 'exit') process.exit(3);
    else if (text === 'hang') for (;;);
    else if (text === 'sleep') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    else if (text.startsWith('hold ')) while (existsSync(text.slice('hold '.length)));
    else if (text === 'hog') for (;;) hoard.push(new Array(1e5).fill(posted));
    else this.send(data);
  }
}

function crash() {
  throw new Error('outside of a handler');
}
