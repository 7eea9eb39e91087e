// How what is said in any thread of this server comes to its main thread, which passes it on to other servers; and what the
// main thread tells the others.

import { BroadcastChannel } from 'node:worker_threads';

/** The environment data that says how long a client may take nothing of what waits for it, in milliseconds. */
export const PATIENCE = 'overlapped-chat-patience';

/** One end, of any number in this process. What is posted comes to all others. It keeps no process alive. */
export function openRelay(): BroadcastChannel {
  const relay = new BroadcastChannel('overlapped-chat');
  relay.unref();
  return relay;
}
