// Sending a file over a net.Socket: a piece is read, and written when it is there, by turns.

import { read } from 'node:fs';
import { endsEarly, type IocpError } from '../contract/errors.js';
import { canceled, fromNode } from './errors.js';

const PIECE = 65536;

export class FileSend {
  sent = 0;
  /** The system has the descriptor: the end of the send must wait. */
  reading = false;
  canceled = false;
  readonly #file: number;
  readonly #offset: number;
  readonly #length: number;
  readonly #buffer: Buffer;
  readonly #write: (bytes: Buffer, done: () => void) => void;
  /** Called when a read is over, and at the end, with the error if there is one. */
  readonly #onRead: () => boolean;
  readonly #onEnd: (error: IocpError | null) => void;

  /**
   * @param write writes a piece, and calls back only if it is written.
   * @param onRead says after each read whether to go on.
   */
  constructor(
    [file, offset, length]: [number, number, number],
    write: (bytes: Buffer, done: () => void) => void,
    onRead: () => boolean,
    onEnd: (error: IocpError | null) => void,
  ) {
    this.#file = file;
    this.#offset = offset;
    this.#length = length;
    this.#buffer = Buffer.allocUnsafe(Math.min(length, PIECE));
    this.#write = write;
    this.#onRead = onRead;
    this.#onEnd = onEnd;
    this.#next();
  }

  readonly #next = (): void => {
    const left = this.#length - this.sent;
    if (left === 0) this.#onEnd(null);
    else if (this.canceled) this.#onEnd(canceled('send a file', 'write'));
    else {
      this.reading = true;
      read(this.#file, this.#buffer, 0, Math.min(left, PIECE), this.#offset + this.sent, (error, bytes) => {
        this.reading = false;
        if (!this.#onRead()) return;
        if (error) this.#onEnd(fromNode('send a file', 'read', error));
        else if (bytes === 0) this.#onEnd(endsEarly());
        else this.#writePiece(bytes);
      });
    }
  };

  #writePiece(bytes: number): void {
    this.#write(this.#buffer.subarray(0, bytes), () => {
      this.sent += bytes;
      this.#next();
    });
  }
}
