// User events: packets that a program posts to itself, with a payload (PostQueuedCompletionStatus).

/** Who gets what was posted. */
export interface PostTarget<Payload = unknown> {
  /** Called from the pump. What it throws surfaces as an uncaught exception. */
  onPost(payload: Payload): void;
}

/** The completion key of a posted packet. */
export class UserEvent<Payload = unknown> {
  readonly target: PostTarget<Payload>;
  readonly payload: Payload;

  constructor(target: PostTarget<Payload>, payload: Payload) {
    this.target = target;
    this.payload = payload;
  }

  deliver(): void {
    this.target.onPost(this.payload);
  }
}
