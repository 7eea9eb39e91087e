// User events: packets that a program posts to itself, with a payload (as by PostQueuedCompletionStatus).

import { AsyncResource } from 'node:async_hooks';

/** The receiver of posted packets. */
export interface PostTarget<Payload = unknown> {
  /** Called from the pump, in the async context of the post() call. An error that it throws is an uncaught exception. */
  onPost(payload: Payload): void;
}

/** The completion key of a posted packet. */
export class UserEvent<Payload = unknown> {
  readonly target: PostTarget<Payload>;
  readonly payload: Payload;
  /** The context of the post() call: onPost runs in it. */
  readonly #context = new AsyncResource('OverlappedPost');

  constructor(target: PostTarget<Payload>, payload: Payload) {
    this.target = target;
    this.payload = payload;
  }

  deliver(): void {
    this.#context.runInAsyncScope(this.target.onPost, this.target, this.payload);
  }
}
