// Waiting until a socket is writable: the peer must take something before more can be sent. Such sockets are in an epoll of the
// port's own, which the ring polls while any of them waits.
//
// io_uring's own wait for POLLOUT also wakes on the peer's FIN (POLLRDHUP). It then tries the send again at once, and after 128
// failures moves it to an io-wq thread, which may block for ever and cannot be cancelled reliably. So we wait with epoll, for EPOLLOUT
// only. The kernel then has nothing of the send, and there is nothing to be cancelled.

import { disown, Owned, own } from '../../native/ledger.js';
import type { SocketTable } from '../../port/socket-table.js';
import { EINTR, linuxError } from '../errors.js';
import { EPOLL, EPOLL_EVENT, POLLIN } from '../layout.js';
import { check, close, epoll_create1, epoll_ctl, epoll_wait, errno } from '../libc.js';
import { setOwnOperation, WRITABLE } from './completions.js';
import type { Ring } from './ring.js';
import type { UringSocket } from './socket.js';
import { prepPollAdd } from './submissions.js';

/** Sockets that one call of epoll_wait() gives. */
const MOST = 64;

export class Writability {
  readonly #ring: Ring;
  readonly #sockets: SocketTable<UringSocket>;
  readonly #resume: (socket: UringSocket) => void;
  readonly #epoll: number;
  readonly #event = Buffer.alloc(EPOLL_EVENT.size);
  readonly #events = Buffer.alloc(MOST * EPOLL_EVENT.size);
  #waiting = 0;
  /** The ring polls the epoll. The poll is one-shot: each arming looks at the level anew. */
  #polled = false;

  /** @param resume sends more. Throws an IocpError. */
  constructor(ring: Ring, sockets: SocketTable<UringSocket>, resume: (socket: UringSocket) => void) {
    this.#ring = ring;
    this.#sockets = sockets;
    this.#resume = resume;
    this.#epoll = check(epoll_create1(EPOLL.CLOEXEC), 'open a port', 'epoll_create1');
    own(Owned.Handle, this.#epoll);
  }

  /**
   * `resume` is called once, when the socket is writable or has failed. Gives 0, or the errno of epoll_ctl(): then the socket
   * does not wait.
   */
  wait(socket: UringSocket): number {
    this.#event.writeUInt32LE(EPOLL.OUT | EPOLL.ONESHOT, 0);
    this.#event.writeInt32LE(socket.index, EPOLL_EVENT.data);
    const change = socket.inEpoll ? EPOLL.CTL_MOD : EPOLL.CTL_ADD;
    if (epoll_ctl(this.#epoll, change, socket.handle, this.#event) < 0) return errno();
    socket.inEpoll = true;
    socket.waitsToSend = true;
    this.#waiting++;
    this.#poll();
    return 0;
  }

  /** `resume` is not called. The socket leaves the epoll when it is closed. */
  cancelWait(socket: UringSocket): void {
    socket.waitsToSend = false;
    this.#waiting--;
  }

  /** The ring's poll has completed: resumes the sockets that are writable. In dequeue(), which submits the sends. */
  drain(): void {
    this.#polled = false;
    const count = epoll_wait(this.#epoll, this.#events, MOST, 0);
    if (count < 0 && errno() !== EINTR) throw linuxError('wait until a socket is writable', 'epoll_wait', errno());
    for (let i = 0; i < count; i++) {
      const socket = this.#sockets.at(this.#events.readInt32LE(i * EPOLL_EVENT.size + EPOLL_EVENT.data));
      if (!socket?.waitsToSend) continue;
      this.cancelWait(socket);
      this.#resume(socket);
    }
    if (this.#waiting > 0) this.#poll();
  }

  close(): void {
    disown(Owned.Handle, this.#epoll);
    check(close(this.#epoll), 'close a port', 'close');
  }

  #poll(): void {
    if (this.#polled) return;
    this.#polled = true;
    setOwnOperation(this.#ring, prepPollAdd(this.#ring, this.#epoll, POLLIN), WRITABLE);
  }
}
