// Waiting for room: the sockets whose peers must take something before more can be sent, in an epoll of the port's own. The
// ring polls that epoll while anybody waits.
//
// io_uring would wait for room by itself, but takes the end of the peer for room: it tries at once again, and after 128 times
// in vain hands the send to a kernel thread, which waits there for as long as the peer likes, mostly beyond the reach of a
// cancel. epoll tells only what it was asked for. And a socket that waits here has nothing with the kernel to be cancelled.

import { EINTR, linuxError } from '../errors.js';
import { EPOLL, EPOLL_EVENT, OP, POLLIN } from '../layout.js';
import { epoll_ctl, epoll_wait, errno } from '../libc.js';
import { ROOM } from './completion.js';
import type { Engine } from './engine.js';
import type { UringSocket } from './socket.js';

/** Sockets that one call tells of. */
const MOST = 64;

export class Room {
  readonly #engine: Engine;
  readonly #resume: (socket: UringSocket) => void;
  readonly #event = Buffer.alloc(EPOLL_EVENT.size);
  readonly #events = Buffer.alloc(MOST * EPOLL_EVENT.size);
  #waiting = 0;
  /** The ring polls the epoll. The poll is one-shot: each arming looks at the level anew. */
  #polled = false;

  /** @param resume sends more. */
  constructor(engine: Engine, resume: (socket: UringSocket) => void) {
    this.#engine = engine;
    this.#resume = resume;
  }

  /** `resume` is called once, when the socket can be sent to or has failed. Gives an errno when the system says no, or 0. */
  wait(socket: UringSocket): number {
    this.#event.writeUInt32LE(EPOLL.OUT | EPOLL.ONESHOT, 0);
    this.#event.writeInt32LE(socket.index, EPOLL_EVENT.data);
    const change = socket.inEpoll ? EPOLL.CTL_MOD : EPOLL.CTL_ADD;
    if (epoll_ctl(this.#engine.notifier.room, change, socket.handle, this.#event) < 0) return errno();
    socket.inEpoll = true;
    socket.waitsForRoom = true;
    this.#waiting++;
    this.#poll();
    return 0;
  }

  /** Nobody waits for the socket any longer. Closing it takes it out of the epoll. */
  forget(socket: UringSocket): void {
    socket.waitsForRoom = false;
    this.#waiting--;
  }

  /** The ring's poll is done: resumes who has room. In dequeue(), which hands the kernel what that starts. */
  collect(): void {
    this.#polled = false;
    const count = epoll_wait(this.#engine.notifier.room, this.#events, MOST, 0);
    if (count < 0 && errno() !== EINTR) throw linuxError('wait for room', 'epoll_wait', errno());
    for (let i = 0; i < count; i++) {
      const socket = this.#engine.find(this.#events.readInt32LE(i * EPOLL_EVENT.size + EPOLL_EVENT.data));
      if (!socket?.waitsForRoom) continue;
      this.forget(socket);
      this.#resume(socket);
    }
    if (this.#waiting > 0) this.#poll();
  }

  #poll(): void {
    if (this.#polled) return;
    this.#polled = true;
    this.#engine.ring.sqe(OP.POLL_ADD, 0, 0, this.#engine.notifier.room, 0, 0, 0, 0, 0, POLLIN, ROOM << 24, 0, 0);
  }
}
