// An echo over TLS sessions, as a guest of the event loop.

import { IocpCore } from '@overlapped/net-core';
import { Listener, Session } from '@overlapped/session';
import { countConnection, ready } from './agent.js';
import { makeCertificate } from './certificate.js';

class Echo extends Session {
  override onConnected(): void {
    countConnection();
  }

  override onReceive(data: Buffer): void {
    this.send(data);
  }
}

const core = new IocpCore();
const options = { host: '127.0.0.1', port: 0, tls: await makeCertificate(), session: Echo };
const { endpoint } = await Listener.listen(core, options);
ready({ port: endpoint.port, by: core.backend });
