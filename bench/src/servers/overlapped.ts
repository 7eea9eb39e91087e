// A server of sessions, on the best backend here, as a guest of the event loop.

import { IocpCore } from '@overlapped/net-core';
import { Listener, Session } from '@overlapped/session';
import { behaviour, countConnection, ready } from './agent.js';

class Echo extends Session {
  override onConnected(): void {
    countConnection();
  }

  override onReceive(data: Buffer): void {
    this.send(data);
  }
}

class Knock extends Session {
  override onConnected(): void {
    countConnection();
    this.end();
  }
}

const core = new IocpCore();
const session = behaviour === 'echo' ? Echo : Knock;
const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, session });
ready({ port: endpoint.port, by: core.backend });
