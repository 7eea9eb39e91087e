// Posting from other threads: PostQueuedCompletionStatus on the port's HANDLE, behind a gate that closes before the HANDLE.

import assert from 'node:assert';
import type { CompletionPacket, PortPoster, PortToken } from '../contract/port.js';
import { Gate } from '../port/gate.js';
import type { HandedPosts } from '../port/handed-posts.js';
import type { Origin } from '../port/socket.js';
import { Key } from './kernel-queue.js';
import { PostQueuedCompletionStatus } from './kernel32.js';

/** A post that the kernel has brought and that is not dequeued yet. The ledger has a record of it. */
export class TakenPost implements Origin {
  readonly #handed: HandedPosts;
  readonly #record: number;

  constructor(handed: HandedPosts, record: number) {
    this.#handed = handed;
    this.#record = record;
  }

  dequeued({ key, bytes }: CompletionPacket): void {
    this.#handed.add(this.#record, key as number, bytes);
  }
}

export class IocpPoster implements PortPoster {
  readonly #port: number;
  readonly #gate: Gate;

  constructor(token: PortToken) {
    assert(token.queue, 'a token of another backend');
    this.#port = token.handle;
    this.#gate = new Gate(token.queue);
  }

  post(key: number, bytes: number): boolean {
    if (!this.#gate.enter()) return false;
    // The key is in the place of an OVERLAPPED's address, which the kernel does not read.
    const posted = PostQueuedCompletionStatus(this.#port, bytes, Key.Post, key) !== 0;
    this.#gate.leave();
    return posted;
  }
}
