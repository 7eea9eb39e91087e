// The sessions of the server. Each thread that serves loads this module.
//
// A client that does not read is skipped: while more than the high watermark is queued for it, it misses the texts of its room.
// While much is queued for it the server does not receive from it either, so it cannot say more than it hears. A client that has
// read nothing for a while is disconnected.

import { PacketSession } from '@overlapped/session';
import { encode, framer, type Notice, parseRequest, type Request, type RoomNotice } from './protocol.js';
import { openRelay, settings } from './relay.js';

/** Bytes that may be queued for a client before the server stops to receive from it. Several such bursts stay below the high watermark. */
const PACE = 16_384;

const sessions = new Set<ChatSession>();
const { patience, spans } = settings();
const relay = spans ? openRelay() : undefined;

export default class ChatSession extends PacketSession {
  #room = '';
  #name = '';
  /** Bytes that it had read at the last look, if more were queued; else -1. */
  #taken = -1;

  constructor() {
    super(framer);
  }

  override onConnected(): void {
    sessions.add(this);
  }

  override onDisconnected(): void {
    sessions.delete(this);
    this.#leave();
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

  /** Disconnects the client if it has read nothing since the last look, although bytes were queued for it. */
  inspect(): void {
    const waits = this.bytesQueued > 0;
    if (waits && this.bytesSent === this.#taken) this.destroy();
    this.#taken = waits ? this.bytesSent : -1;
  }

  #join({ room, name }: Extract<Request, { type: 'join' }>): void {
    this.#leave();
    // The members before it.
    this.#tell({ type: 'entered', room, name });
    this.join(room);
    this.#room = room;
    this.#name = name;
    this.#answer({ type: 'joined', room });
  }

  /** Leaves the room that it is in, if any. */
  #leave(): void {
    const room = this.#room;
    if (room === '') return;
    this.#room = '';
    this.leave(room);
    this.#tell({ type: 'left', room, name: this.#name });
  }

  #say(text: string): void {
    const [room, name] = [this.#room, this.#name];
    if (room === '') this.#answer({ type: 'refused', reason: 'join a room first' });
    else if (!this.#tell({ type: 'said', room, name, text }))
      this.#answer({ type: 'refused', reason: 'the server is too busy' });
  }

  /** Tells the members of a room: those of this server at once, those of others by way of the main thread. False if it is too busy. */
  #tell(notice: RoomNotice): boolean {
    const told = this.broadcast(encode(notice), notice.room);
    if (told) relay?.postMessage(notice);
    return told;
  }

  #answer(notice: Notice): void {
    this.send(encode(notice));
  }
}

function inspectAll(): void {
  for (const session of sessions) session.inspect();
}

setInterval(inspectAll, patience).unref();
