// A session module for the broadcast tests: what comes after `all `, `join `, `leave ` or `to GROUP ` is obeyed. Who has given
// a `name ` says goodbye. `hold FILE` makes the file, takes nothing until it is removed, and ends the thread.

import { existsSync, writeFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { Session } from '@overlapped/session';

export default class Chat extends Session {
  onReceive(data) {
    const [verb, first, ...rest] = data.toString().split(' ');
    if (verb === 'who') this.send(String(threadId));
    else if (verb === 'all') this.broadcast([first, ...rest].join(' '));
    else if (verb === 'big') this.broadcast(Buffer.alloc(Number(first), rest[0]));
    else if (verb === 'to') this.broadcast(rest.join(' '), first);
    else if (verb === 'hold') {
      writeFileSync(first, '');
      while (existsSync(first));
      process.exit(3);
    } else if (verb === 'name') {
      this.name = first;
      this.send('ok');
    } else {
      if (verb === 'join') this.join(first);
      else if (verb === 'leave') this.leave(first);
      this.send('ok');
    }
  }

  onDisconnected() {
    if (this.name !== undefined) this.broadcast(`${this.name} left`);
  }
}
