// End: a receive of 0 bytes is the peer's end, a receive that fails is a lost connection. Either is the session's last call.
import { once } from 'node:events';
import { connect } from 'node:net';
import { IocpCore, Listener } from '@overlapped/session';

const core = new IocpCore();
let ended = () => {};
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: 0,
  session: {
    onDisconnected: (_, error) => {
      console.log(`onDisconnected: ${error === undefined ? 'in order, no error' : error.message}`);
      ended();
    },
  },
});

async function client(what: string, leave: (socket: ReturnType<typeof connect>) => void): Promise<void> {
  const socket = connect(endpoint.port, endpoint.address).resume();
  await once(socket, 'connect');
  console.log(what);
  const end = new Promise<void>((resolve) => (ended = resolve));
  leave(socket);
  await end;
}

await client('The client sends a FIN: the receive completes with 0 bytes.', (socket) => socket.end());
await client('The client sends a RST: the receive completes with an error.', (socket) => socket.resetAndDestroy());
await core.stop(); // Rejects if an event or a buffer has not come back.
console.log('stop(): every event and every buffer came back.');
