// What the threads of one server have in common: its settings, and the relay, by which what is said in any of them comes to
// the main thread, which passes it on to other servers.

import { BroadcastChannel, getEnvironmentData, setEnvironmentData } from 'node:worker_threads';

export interface Settings {
  /** How long a client may take nothing of what waits for it, in milliseconds. */
  readonly patience: number;
  /** There are other servers. */
  readonly spans: boolean;
}

const NAME = 'overlapped-chat';

/** For the main thread, before it starts others. */
export function share(settings: Settings): void {
  setEnvironmentData(NAME, settings as never);
}

export function settings(): Settings {
  return getEnvironmentData(NAME) as unknown as Settings;
}

/** One end, of any number in this process. What is posted comes to all others. It keeps no process alive. */
export function openRelay(): BroadcastChannel {
  const relay = new BroadcastChannel(NAME);
  relay.unref();
  return relay;
}
