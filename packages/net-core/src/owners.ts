// What a core calls: who gets packets, who puts work off, and who must end before it does. All of it on the core's thread.

import type { CompletionPacket } from '@overlapped/iocp-native';

/** The key of {@link CompletionOwner}'s method. A symbol: a subclass may have methods of any name, and replaces none of these. */
export const onCompletion: unique symbol = Symbol('overlapped.onCompletion');
/** The key of {@link Flushable}'s method; a symbol as `onCompletion` is. */
export const onFlush: unique symbol = Symbol('overlapped.onFlush');

/** Who gets the packets of an operation: the owner of its event, or the completion key of its socket. */
export interface CompletionOwner {
  /** A packet, good until this returns. What this throws is a bug: it surfaces as an uncaught exception. */
  [onCompletion](packet: CompletionPacket): void;
}

/** Something that puts work off to the end of the batch. */
export interface Flushable {
  /**
   * Does what was put off. Ticks and promises have their turn behind it, unless it gives false: then it called no handler.
   * What this throws surfaces as an uncaught exception.
   */
  [onFlush](): unknown;
}

/** Something that lives on a core and must end before the core does. */
export interface Stoppable {
  /** Ends in order; what has not ended after `grace` milliseconds is cut off. */
  stop(grace: number): Promise<void>;
}
