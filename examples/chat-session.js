// A connection of chat.js: its first line is the name, each line after that goes to the room.

import { encodeFrame, lines, PacketSession } from '@overlapped/session';

const framer = lines({ maxFrameLength: 1000 });

export default class ChatSession extends PacketSession {
  #name = '';

  constructor() {
    super(framer);
  }

  onConnected() {
    this.sendPacket('your name?');
  }

  /** @param {Buffer} line */
  onPacket(line) {
    const text = line.toString();
    if (this.#name !== '') this.#say(`${this.#name}: ${text}`);
    else if (/^\w{1,20}$/.test(text)) this.#enter(text);
    else this.sendPacket('a name has 1 to 20 letters; your name?');
  }

  onDisconnected() {
    if (this.#name !== '') this.#say(`${this.#name} has left`);
  }

  /** @param {string} name */
  #enter(name) {
    this.#name = name;
    this.join('room');
    this.#say(`${name} has come`);
  }

  /** @param {string} text */
  #say(text) {
    // Terminals must not get control characters from other people.
    this.broadcast(encodeFrame(framer, text.replace(/\p{Cc}/gu, ' ')), 'room');
  }
}
