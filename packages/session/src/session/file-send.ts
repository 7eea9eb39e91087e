// FileSend: a file in a session's send queue. It is opened while earlier bytes are being sent, then the port sends it piece by
// piece.
//
//   queued -> open -> in flight -> ... -> over: everything is sent, the file failed, or the session is over

import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { type CompletionPort, IocpError, type Overlapped, type PortSocket } from '@overlapped/iocp-native';

/** A range of a file, as for fs.createReadStream: both ends are inclusive. Default: the whole file. */
export interface FileRange {
  /** The first byte. Default 0. */
  readonly start?: number;
  /** The last byte. Default: the last byte of the file when it is opened. */
  readonly end?: number;
}

/** Limit of one operation's bytes: the packets in between show the write timeout that the peer still reads. */
const PIECE = 1 << 20;
/** Bytes that are read at once to be encrypted. */
const CHUNK = 65_536;

/** The send queue, as a file sees it. */
export interface FileQueue {
  pushFile(file: FileSend): void;
  /** Removes a file that is over and not in flight. */
  dropFile(file: FileSend): void;
}

export class FileSend {
  /** Resolves with the number of bytes sent. */
  readonly done: Promise<number>;
  /** The file is open: it can be sent. */
  open = false;
  inFlight = false;
  /** Bytes that were read to be encrypted, and are not encrypted yet; null if there are none. */
  chunk: Buffer | null = null;
  /** Bytes that are encrypted, and in flight. */
  sealed = 0;
  /** Why it could not be read: the session must close, since the peer would take later bytes for the file's. */
  failed: Error | null = null;
  over = false;
  #resolve!: (bytes: number) => void;
  #reject!: (error: Error) => void;
  #reading = false;
  #handle: FileHandle | null = null;
  /** Whether this opened the file, and so must close it. */
  readonly #ours: boolean;
  #offset = 0;
  #left = 0;
  #bytes = 0;
  /** The error with which it ends when the operation in flight completes, if it must end then. */
  #abandoned: Error | null = null;

  private constructor(file: string | FileHandle) {
    this.#ours = typeof file === 'string';
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Queues a file. Without a queue it fails (EPIPE): the session takes no more bytes. `wake` is called when the file can be sent. */
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

  /** For a TLS connection, instead of start(): true if there is a chunk. Else it reads one, and then calls `wake`. */
  fetch(wake: () => void): boolean {
    if (this.chunk !== null) return true;
    if (this.open && !this.#reading && this.failed === null) void this.#read(wake);
    return false;
  }

  /** The first `bytes` bytes of the chunk are being sent. */
  seal(bytes: number): void {
    this.sealed += bytes;
    this.chunk = bytes < this.chunk!.length ? this.chunk!.subarray(bytes) : null;
  }

  async #read(wake: () => void): Promise<void> {
    this.#reading = true;
    try {
      const buffer = Buffer.allocUnsafeSlow(Math.min(this.#left, CHUNK));
      const { bytesRead } = await this.#handle!.read(buffer, 0, buffer.length, this.#offset);
      if (bytesRead === 0) throw failure('it has become shorter', 'ENODATA', 'read');
      this.chunk = buffer.subarray(0, bytesRead);
    } catch (error) {
      this.failed = error as Error;
    }
    this.#reading = false;
    if (!this.over) wake();
  }

  /** The packet of an operation has come. */
  sent(bytes: number, error: Error | null): void {
    this.inFlight = false;
    this.sealed = 0;
    this.#offset += bytes;
    this.#left -= bytes;
    this.#bytes += bytes;
    const failed = this.#abandoned ?? error;
    if (failed !== null) this.#endQuietly(failed);
    else if (this.#left === 0) this.#end(null);
  }

  /** The session is over. An operation in flight ends with its packet: until then the kernel uses the descriptor. */
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

  /** Ends without an unhandled rejection, if the caller ignores the promise: onDisconnected reports the error already. */
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

/** Checks the path before opening: open() of a FIFO blocks a thread of libuv's pool until a writer comes, and a device may do anything. */
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
