// A server of sessions, on the best backend here, as a guest of the event loop.

import { IocpCore } from '@overlapped/net-core';
import { Listener, Session } from '@overlapped/session';
import { behaviour, countConnection, GREETING, ready } from './agent.js';
import Pour from './pour-session.js';
import Sink from './sink-session.js';

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
const sessions = { echo: Echo, knock: Knock, crowd: Member, pour: Pour, sink: Sink };
const session = sessions[behaviour as keyof typeof sessions];
const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, session });
ready({ port: endpoint.port, by: core.backend });
