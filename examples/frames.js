// Binary packets with the header { size, id } that many C++ servers use: two little-endian 16-bit numbers; `size` counts the
// header. A server and a client in one program. Run `node examples/frames.js`: it ends by itself.

import { Connector, framed, IocpCore, Listener, lengthPrefixed } from '@overlapped/session';

const Id = { Login: 1, Welcome: 2, Move: 3, Moved: 4 };

// onPacket gets the bytes behind `size`: the id and the body. sendPacket() writes `size`.
const framer = lengthPrefixed({ size: 2, littleEndian: true, countsHeader: true, maxFrameLength: 4096 });

/** @param {number} id @param {Uint8Array | string} body */
function packet(id, body) {
  const header = Buffer.alloc(2);
  header.writeUInt16LE(id);
  return Buffer.concat([header, Buffer.from(/** @type {string} */ (body))]);
}

const core = new IocpCore();
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: 0,
  session: framed(framer, {
    onPacket(session, data) {
      const [id, body] = [data.readUInt16LE(0), data.subarray(2)];
      if (id === Id.Login) session.sendPacket(packet(Id.Welcome, `welcome, ${body}`));
      else if (id === Id.Move) session.sendPacket(packet(Id.Moved, body));
      else session.destroy(new Error(`unknown packet ${id}`));
    },
    // A packet that is too short for its fields throws a RangeError in onPacket, and that closes only its own session.
    onDisconnected: (_, error) => error && console.error(error.message),
  }),
});

const client = framed(framer, {
  onConnected: (session) => session.sendPacket(packet(Id.Login, 'ann')),
  onPacket(session, data) {
    const [id, body] = [data.readUInt16LE(0), data.subarray(2)];
    if (id === Id.Welcome) {
      console.log(body.toString());
      const position = Buffer.alloc(8);
      position.writeFloatLE(1.5, 0);
      position.writeFloatLE(-2, 4);
      session.sendPacket(packet(Id.Move, position));
    } else {
      console.log(`moved to ${body.readFloatLE(0)}, ${body.readFloatLE(4)}`);
      session.end();
    }
  },
  onDisconnected: () => core.stop(),
});
await new Connector(core, { session: client }).connect({ host: endpoint.address, port: endpoint.port });
