// Connects to local sockets, which succeed or fail at once, unless the listener has no room at the moment: then they are
// tried again, as the kernel does for a TCP connect when a backlog is full.

import { endpointText } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import type { Overlapped, PipeEndpoint } from '../contract/port.js';

/** Milliseconds from one try to the next, and until the connect has failed. */
const PAUSE = 10;
const PATIENCE = 30_000;

interface Attempt {
  readonly event: Overlapped;
  readonly remote: PipeEndpoint;
  readonly until: number;
}

export class LocalConnects<Socket> {
  readonly #connect: (socket: Socket, remote: PipeEndpoint) => boolean;
  readonly #end: (socket: Socket, event: Overlapped, error: IocpError | null) => void;
  readonly #busy = new Map<Socket, Attempt>();
  #timer: NodeJS.Timeout | null = null;
  /** When the next round is due. */
  #due = 0;

  /**
   * @param connect tries once: false when there is no room. Throws an IocpError.
   * @param end queues the packet of a connect.
   */
  constructor(
    connect: (socket: Socket, remote: PipeEndpoint) => boolean,
    end: (socket: Socket, event: Overlapped, error: IocpError | null) => void,
  ) {
    this.#connect = connect;
    this.#end = end;
  }

  start(socket: Socket, event: Overlapped, remote: PipeEndpoint): void {
    this.#try(socket, { event, remote, until: performance.now() + PATIENCE });
  }

  /** Ends a connect that waits for its next try. */
  cancel(socket: Socket): void {
    const attempt = this.#busy.get(socket);
    if (attempt) this.#finish(socket, attempt, failed(attempt, 'it was canceled', 'ECANCELED'));
  }

  /** Tries connects that found no room again, if it is time. For dequeue(), which may take the event loop's place. */
  retry(): void {
    if (this.#busy.size === 0 || performance.now() < this.#due) return;
    this.#due = performance.now() + PAUSE;
    for (const [socket, attempt] of this.#busy) this.#try(socket, attempt);
  }

  #try(socket: Socket, attempt: Attempt): void {
    try {
      if (this.#connect(socket, attempt.remote)) {
        this.#finish(socket, attempt, null);
      } else if (performance.now() >= attempt.until) {
        this.#finish(socket, attempt, failed(attempt, 'timed out', 'ETIMEDOUT'));
      } else {
        this.#busy.set(socket, attempt);
        this.#timer ??= setTimeout(this.#expired, PAUSE).unref();
      }
    } catch (error) {
      this.#finish(socket, attempt, error as IocpError);
    }
  }

  readonly #expired = (): void => {
    this.#timer = null;
    this.#due = 0;
    this.retry();
  };

  #finish(socket: Socket, attempt: Attempt, error: IocpError | null): void {
    this.#busy.delete(socket);
    this.#end(socket, attempt.event, error);
  }
}

function failed({ remote }: Attempt, reason: string, code: string): IocpError {
  return new IocpError(`connect to ${endpointText(remote)}`, reason, code, 'connect');
}
