// Whom a core calls: the owners of operations, and what else lives on it.

import type { CompletionPacket } from '@overlapped/iocp-native';

/** Who gets the packets of an operation: the owner of its event, or the completion key of its socket. */
export interface CompletionOwner {
  onCompletion(packet: CompletionPacket): void;
}

/** Something that puts work off to the end of the batch. */
export interface Flushable {
  flush(): void;
}

/** Something that lives on a core and must end before the core does. */
export interface Stoppable {
  /** Ends in order; what has not ended after `grace` milliseconds is cut off. */
  stop(grace: number): Promise<void>;
}
