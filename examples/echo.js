// An echo server with back-pressure. Run `node examples/echo.js`, then type into `nc 127.0.0.1 7000`.

import { IocpCore, Listener } from '@overlapped/session';

const core = new IocpCore();
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7000),
  session: {
    // `data` is borrowed: it is valid until this returns. send() may be given it.
    onReceive(session, data) {
      // False: the client does not read its answers. Receive nothing from it until it does.
      if (!session.send(data)) session.pause();
    },
    onDrain: (session) => session.resume(),
  },
});
console.log(`echo on port ${endpoint.port}`);

process.once('SIGINT', () => core.stop());
