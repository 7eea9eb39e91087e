// The posts of other threads: a queue in shared memory, and a pipe that signals it. The kernel queue of the port polls the
// read end. A post stays in the shared queue until it is dequeued; from then on it is in this thread's ledger, until the
// next dequeue() begins (see handed-posts.ts). So a post is not lost when this thread ends.

import type { BackendName, CompletionPacket, PortToken } from '../contract/port.js';
import { disown, Owned, own, write } from '../native/ledger.js';
import { HandedPosts } from '../port/handed-posts.js';
import { PostedQueue } from '../port/posted-queue.js';
import { O_CLOEXEC, O_NONBLOCK } from './layout.js';
import { check, close, pipe2 } from './libc.js';
import { clearSignal } from './signals.js';

/** Takes the posts: the port. */
interface Target {
  /** Queues a Post packet; `origin` is told when it is dequeued. */
  queuePost(key: number, bytes: number, origin: PostPipe): void;
}

export class PostPipe {
  /** The pipe's read end, to be polled. */
  readonly descriptor: number;
  readonly #writeEnd: number;
  readonly #target: Target;
  readonly #queue = new PostedQueue();
  readonly #dequeued = new HandedPosts();

  /** Throws an IocpError. */
  constructor(target: Target) {
    this.#target = target;
    const ends = Buffer.alloc(8);
    check(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 'open a port', 'pipe2');
    this.descriptor = ends.readInt32LE(0);
    this.#writeEnd = ends.readInt32LE(4);
    own(Owned.Handle, this.descriptor);
    own(Owned.Handle, this.#writeEnd);
  }

  token(backend: BackendName): PortToken {
    return { backend, handle: this.#writeEnd, queue: this.#queue.memory };
  }

  /** The pipe is readable: queues the posted packets. */
  drain(): void {
    clearSignal(this.descriptor);
    // Before the queue is read: a post that comes while it is being read must signal again.
    this.#queue.acknowledge();
    while (this.#queue.read(this.#queuePost));
  }

  /** The last batch has been served: a dequeue() begins. */
  served(): void {
    this.#dequeued.served();
  }

  /** A post leaves the queue, which outlives this thread, for the batch, which does not. */
  dequeued({ key, bytes }: CompletionPacket): void {
    this.#queue.drop();
    this.#dequeued.add(write(Owned.Post, key as number, bytes), key as number, bytes);
  }

  /** From now on posting fails, and no thread writes into the pipe. */
  stop(): void {
    this.#queue.close();
    this.#dequeued.leave();
  }

  /** Closes the pipe. Call stop() first. */
  close(): void {
    for (const fd of [this.descriptor, this.#writeEnd]) {
      disown(Owned.Handle, fd);
      check(close(fd), 'close a port', 'close');
    }
  }

  readonly #queuePost = (key: number, bytes: number): void => this.#target.queuePost(key, bytes, this);
}
