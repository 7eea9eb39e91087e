// What a connection of the server does. Each thread that serves loads this module.
//
// A client that does not read is passed over: what is said while more than the high watermark waits for it, it does not get.
// Nor is it read from, while anything much waits for it: so nobody says more than it hears. When it has taken nothing for a
// while, it is cut off.

import { PacketSession } from '@overlapped/session';
import { encode, framer, type Notice, parseRequest, type Request, type Said } from './protocol.js';
import { openRelay, settings } from './relay.js';

/** Bytes that may wait for a client before it is not read from. A burst of several such stays below the high watermark. */
const PACE = 16_384;

const sessions = new Set<ChatSession>();
const { patience, spans } = settings();
const relay = spans ? openRelay() : undefined;

export default class ChatSession extends PacketSession {
  #room = '';
  #name = '';
  /** Bytes that it had taken when it was last looked at and something waited for it; else -1. */
  #taken = -1;

  constructor() {
    super(framer);
  }

  override onConnected(): void {
    sessions.add(this);
  }

  override onDisconnected(): void {
    sessions.delete(this);
  }

  override onPacket(packet: Buffer): void {
    const request = parseRequest(packet);
    if (typeof request === 'string') this.#answer({ type: 'refused', reason: request });
    else if (request.type === 'join') this.#join(request);
    else this.#say(request.text);
    if (this.bytesQueued > PACE) this.pause();
  }

  override onSend(): void {
    if (this.bytesQueued === 0) this.resume();
  }

  /** Cuts the client off when it has taken nothing since the last time, though something waited for it. */
  inspect(): void {
    const waits = this.bytesQueued > 0;
    if (waits && this.bytesSent === this.#taken) this.destroy();
    this.#taken = waits ? this.bytesSent : -1;
  }

  #join({ room, name }: Extract<Request, { type: 'join' }>): void {
    if (this.#room !== '') this.leave(this.#room);
    this.join(room);
    this.#room = room;
    this.#name = name;
    this.#answer({ type: 'joined', room });
  }

  #say(text: string): void {
    const said: Said = { type: 'said', room: this.#room, name: this.#name, text };
    if (this.#room === '') this.#answer({ type: 'refused', reason: 'join a room first' });
    // To its own server at once, and to the others by way of the main thread.
    else if (this.broadcast(encode(said), this.#room)) relay?.postMessage(said);
    else this.#answer({ type: 'refused', reason: 'the server is too busy' });
  }

  #answer(notice: Notice): void {
    this.send(encode(notice));
  }
}

function inspectAll(): void {
  for (const session of sessions) session.inspect();
}

setInterval(inspectAll, patience).unref();
