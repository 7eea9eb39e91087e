// A shared session whose handlers enter async contexts, and fail. Its thread tells what it sees on the diagnostics channel.

import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import { setImmediate as turn } from 'node:timers/promises';
import { SharedSession } from '@overlapped/session';

const names = new AsyncLocalStorage();

subscribe('overlapped:session-failed', ({ core, session, error }) => {
  core.send(session.id, `failed: ${error.message}`);
});

export default class Contexts extends SharedSession {
  async onReceive(data) {
    const before = names.getStore() ?? 'nobody';
    const [command, name] = String(data).split(' ');
    if (command === 'throw') throw new Error('as asked');
    names.enterWith(name);
    await turn();
    this.send(`${before} ${names.getStore()}`);
  }

  onMessage(message) {
    if (String(message) === 'throw') throw new Error('as told');
    this.send(names.getStore() ?? 'nobody');
  }

  onDisconnected() {}
}
