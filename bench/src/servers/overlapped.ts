// A server of sessions, on the best backend here, as a guest of the event loop.

import { IocpCore } from '@overlapped/net-core';
import { Listener, Session } from '@overlapped/session';
import { behaviour, countConnection, GREETING, ready } from './agent.js';

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

class Member extends Session {
  override onConnected(): void {
    countConnection();
    this.send(GREETING);
  }

  override onReceive(data: Buffer): void {
    this.broadcast(data);
  }
}

const core = new IocpCore();
const session = { echo: Echo, knock: Knock, crowd: Member }[behaviour as 'echo' | 'knock' | 'crowd'];
const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, session });
ready({ port: endpoint.port, by: core.backend });
