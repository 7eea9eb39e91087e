// The interfaces that a core calls on its thread: receivers of packets, owners of postponed work, parts that end before it.

import type { CompletionPacket } from '@overlapped/iocp-native';

/** The key of {@link CompletionOwner}'s method. A symbol: a subclass may have methods of any name, and replaces none of these. */
export const onCompletion: unique symbol = Symbol('overlapped.onCompletion');
/** The key of {@link Flushable}'s method; a symbol as `onCompletion` is. */
export const onFlush: unique symbol = Symbol('overlapped.onFlush');

/** The receiver of an operation's packets: the owner of its event, or the completion key of its socket. */
export interface CompletionOwner {
  /**
   * A packet, valid until this returns. Ticks and promises have their turn behind it, unless it gives false: then it called no
   * handler, and settled no promise. An error that this throws is an uncaught exception: a bug.
   */
  [onCompletion](packet: CompletionPacket): unknown;
}

/** Something that puts work off to the end of the batch. */
export interface Flushable {
  /**
   * Does the work that was put off. Ticks and promises have their turn behind it, unless it gives false: then it called no handler.
   * An error that this throws is an uncaught exception.
   */
  [onFlush](): unknown;
}

/** Something that lives on a core and must end before the core does. */
export interface Stoppable {
  /** Ends in order; sessions that have not ended after `grace` milliseconds are cut off. */
  stop(grace: number): Promise<void>;
}
