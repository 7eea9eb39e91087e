// Shared by the threads of one server: its settings, and the relay, which brings the texts of each thread to the main thread, for
// the other servers.

import { BroadcastChannel, getEnvironmentData, setEnvironmentData } from 'node:worker_threads';

export interface Settings {
  /** Milliseconds for which a client may read nothing of the bytes that are queued for it. */
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

/** One end, of any number in this process. A posted message comes to all others. It keeps no process alive. */
export function openRelay(): BroadcastChannel {
  const relay = new BroadcastChannel(NAME);
  relay.unref();
  return relay;
}
