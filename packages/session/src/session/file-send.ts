// A file in a session's send queue: opened while what is before it goes out, then sent piece by piece by the port.
//
//   queued -> open -> in flight -> ... -> over: all is sent, it failed, or the session is over

import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { type CompletionPort, IocpError, type Overlapped, type PortSocket } from '@overlapped/iocp-native';

/** Which bytes of a file, as for fs.createReadStream: both are inclusive. Default: all of them. */
export interface FileRange {
  /** The first byte. Default 0. */
  readonly start?: number;
  /** The last byte. Default: the last that the file has when it is opened. */
  readonly end?: number;
}

/** The most that one operation sends: its packets tell that the peer still takes something. */
const PIECE = 1 << 20;

/** Where a file waits. */
export interface FileQueue {
  pushFile(file: FileSend): void;
  /** It is over without having been in flight. */
  dropFile(file: FileSend): void;
}

export class FileSend {
  /** Resolves with the bytes sent. */
  readonly done: Promise<number>;
  /** It can be sent from now on. */
  open = false;
  inFlight = false;
  over = false;
  #resolve!: (bytes: number) => void;
  #reject!: (error: Error) => void;
  #handle: FileHandle | null = null;
  /** The handle is ours to close. */
  readonly #ours: boolean;
  #offset = 0;
  #left = 0;
  #bytes = 0;
  /** Why it must end when its operation does, if it must. */
  #abandoned: Error | null = null;

  private constructor(file: string | FileHandle) {
    this.#ours = typeof file === 'string';
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Queues a file; without a queue it fails, since the session takes no more. `wake` is called when it can be sent. */
  static queue(
    queue: FileQueue | null,
    wake: () => void,
    file: string | FileHandle,
    range: FileRange = {},
  ): Promise<number> {
    const send = new FileSend(file);
    if (queue === null) {
      send.abandon();
    } else {
      queue.pushFile(send);
      void send.#open(queue, wake, file, range);
    }
    return send.done;
  }

  /** Starts the next operation. */
  start(port: CompletionPort, socket: PortSocket, event: Overlapped): void {
    this.inFlight = true;
    port.sendFile(socket, event, this.#handle!.fd, this.#offset, Math.min(this.#left, PIECE));
  }

  /** The packet of an operation is here. */
  sent(bytes: number, error: Error | null): void {
    this.inFlight = false;
    this.#offset += bytes;
    this.#left -= bytes;
    this.#bytes += bytes;
    const failed = this.#abandoned ?? error;
    if (failed !== null) this.#endQuietly(failed);
    else if (this.#left === 0) this.#end(null);
  }

  /** The session is over. What is in flight ends with its packet: until then the descriptor is the kernel's. */
  abandon(): void {
    this.#abandoned = sessionOver();
    if (!this.inFlight) this.#endQuietly(this.#abandoned);
  }

  async #open(queue: FileQueue, wake: () => void, file: string | FileHandle, range: FileRange): Promise<void> {
    let failed: Error | null = null;
    try {
      const handle = typeof file === 'string' ? await openRegular(file) : file;
      this.#handle = handle;
      if (!this.over) await this.#measure(handle, range);
      this.open = this.#left > 0;
    } catch (error) {
      failed = error as Error;
    }
    if (this.over) {
      this.#close();
      return;
    }
    if (!this.open) {
      this.#end(failed);
      queue.dropFile(this);
    }
    wake();
  }

  async #measure(handle: FileHandle, { start = 0, end }: FileRange): Promise<void> {
    const { size } = check(await handle.stat(), 'fstat');
    const last = end ?? size - 1;
    if (!(Number.isSafeInteger(start) && Number.isSafeInteger(last) && start >= 0 && start <= last + 1)) {
      throw failure(`${start} to ${last} is no range`, 'EINVAL', 'sendFile');
    }
    if (last >= size) throw failure(`it has ${size} bytes, and byte ${last} was asked for`, 'ENODATA', 'fstat');
    this.#offset = start;
    this.#left = last + 1 - start;
  }

  #end(error: Error | null): void {
    this.#close();
    if (this.over) return;
    this.over = true;
    if (error === null) this.#resolve(this.#bytes);
    else this.#reject(error);
  }

  /** The session is over with it, which onDisconnected tells: whoever does not wait for a file has no rejection to handle. */
  #endQuietly(error: Error): void {
    this.done.catch(() => {});
    this.#end(error);
  }

  #close(): void {
    const handle = this.#handle;
    this.#handle = null;
    if (this.#ours) handle?.close().catch((error: Error) => process.emitWarning(error));
  }
}

/** Looks before it opens: opening a FIFO waits for a writer, on a thread of libuv's pool, and opening a device may do anything. */
async function openRegular(path: string): Promise<FileHandle> {
  check(await stat(path), 'stat');
  return open(path);
}

function check(stats: Stats, syscall: string): Stats {
  if (!stats.isFile()) throw failure('it is no regular file', 'EINVAL', syscall);
  return stats;
}

function sessionOver(): IocpError {
  return failure('the session takes no more', 'EPIPE', 'sendFile');
}

function failure(reason: string, code: string, syscall: string): IocpError {
  return new IocpError('send a file', reason, code, syscall);
}
