// Which sockets the epoll watches, and which are to be served although no event has come.

import { EPOLL } from '../layout.js';
import type { Epoll } from './epoll.js';
import type { EpollSocket } from './socket.js';

/** EPOLLET, so that bytes that are not read now cause no second event; EPOLLPRI for urgent data, at which recv() stops short. */
const READS = EPOLL.IN | EPOLL.RDHUP | EPOLL.PRI | EPOLL.ET;

export class Watching {
  readonly #epoll: Epoll;
  readonly #wake: () => void;
  /** Sockets to be served in the next dequeue(), oldest first. One may have closed since. */
  #listed: EpollSocket[] = [];
  #spare: EpollSocket[] = [];

  /** @param wake has the watcher of the port called. */
  constructor(epoll: Epoll, wake: () => void) {
    this.#epoll = epoll;
    this.#wake = wake;
  }

  /** Whether sockets are to be served. */
  get some(): boolean {
    return this.#listed.length > 0;
  }

  /**
   * Events come from now on when there is something to read, and the first at once if there is already. Gives an errno, or 0.
   */
  reads(socket: EpollSocket): number {
    if (socket.interest === 0) return this.#watch(socket, READS);
    if (socket.readable) this.list(socket);
    return 0;
  }

  /** The same for room to write. */
  writes(socket: EpollSocket): number {
    return (socket.interest & EPOLL.OUT) === 0 ? this.#watch(socket, READS | EPOLL.OUT) : 0;
  }

  /** Nothing waits for room: the kernel of some sockets would tell of it whenever a peer has read. */
  noMoreWrites(socket: EpollSocket): void {
    // A failure would leave it as it is.
    if ((socket.interest & EPOLL.OUT) !== 0) this.#watch(socket, READS);
  }

  /** Has the socket served in the next dequeue(). */
  list(socket: EpollSocket): void {
    if (socket.listed) return;
    socket.listed = true;
    this.#listed.push(socket);
    this.#wake();
  }

  /** Takes the list, which starts anew: sockets listed while it is served come next time. */
  take(): readonly EpollSocket[] {
    const listed = this.#listed;
    this.#listed = this.#spare;
    this.#listed.length = 0;
    this.#spare = listed;
    return listed;
  }

  #watch(socket: EpollSocket, flags: number): number {
    const { handle, index, generation, interest } = socket;
    const failed =
      interest === 0
        ? this.#epoll.add(handle, flags, index, generation)
        : this.#epoll.modify(handle, flags, index, generation);
    if (failed === 0) socket.interest = flags;
    return failed;
  }
}
