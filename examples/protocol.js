// A protocol in a file of its own, so that a test can run it without sockets: see protocol.test.js. Each line is a whole number
// that is added; the answer is the sum so far.

import { lines, PacketSession } from '@overlapped/session';

const framer = lines({ maxFrameLength: 20 });

export class Adder extends PacketSession {
  #sum = 0;

  constructor() {
    super(framer);
  }

  /** @param {Buffer} line */
  onPacket(line) {
    const text = line.toString();
    if (!/^-?\d{1,9}$/.test(text)) return this.end('not a number\n');
    this.#sum += Number(text);
    this.sendPacket(String(this.#sum));
  }
}
