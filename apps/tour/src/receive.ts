// Receive: TCP brings bytes, not messages. A framer cuts them at PacketHeader { size, id }, and the next receive is started.
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { IocpCore, Listener, lengthPrefixed, PacketSession } from '@overlapped/session';

// struct PacketHeader { uint16 size; uint16 id; }: `size` counts the whole packet, as C++ servers on Windows have it.
const framer = lengthPrefixed({ size: 2, littleEndian: true, countsHeader: true, maxFrameLength: 4096 });

const seen = new EventEmitter();

class GameSession extends PacketSession {
  constructor() {
    super(framer);
  }

  override onPacket(packet: Buffer): void {
    console.log(`onPacket: id ${packet.readUInt16LE(0)}, "${packet.subarray(2)}"`);
    seen.emit('packet');
  }
}

function packet(id: number, text: string): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16LE(header.length + text.length, 0);
  header.writeUInt16LE(id, 2);
  return Buffer.concat([header, Buffer.from(text)]);
}

const core = new IocpCore();
const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, session: GameSession });
const client = connect({ port: endpoint.port, host: '127.0.0.1', noDelay: true });
const bytes = Buffer.concat([packet(1, 'login'), packet(2, 'move'), packet(3, 'chat')]);
console.log(`The client sends 3 packets as two pieces: 11 bytes, then ${bytes.length - 11}.`);
client.write(bytes.subarray(0, 11)); // The first packet, and half of the second one's header.
await once(seen, 'packet');
client.end(bytes.subarray(11)); // The end of the client is a receive of 0 bytes: the session closes.
for await (const _ of client.on('error', () => {}));
console.log('The session saw whole packets, in order.');
await core.stop();
