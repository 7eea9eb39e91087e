// Messages to the page: one greeting, then a sample a second. Types only, which the server and the page share.

/** The server, as the page introduces it. */
export interface Greeting {
  /** The server's, for the title. */
  readonly name: string;
  readonly backend: string;
  /** Worker threads. */
  readonly workers: number;
  /** Threads of the pool of jobs; 0 without one. */
  readonly jobThreads: number;
  readonly pid: number;
  /** Of Node.js. */
  readonly version: string;
}

/** One thread, or all of them, during the last period. */
export interface ThreadSample {
  /** Open now. */
  readonly connections: number;
  /** Completion packets a second. */
  readonly packets: number;
  /** Completion packets for each wake-up that found some; null when none did. */
  readonly batch: number | null;
  /** Microseconds that it took to dispatch those: the last one waited that long. */
  readonly dispatch: number | null;
  /** Bytes a second. */
  readonly received: number;
  readonly sent: number;
}

export interface Sample {
  /** When: seconds since the epoch, by the server's clock. */
  readonly at: number;
  /** How late the event loop of the core's own thread was, in milliseconds. Null in the first sample: it would show the page's own start. */
  readonly loop: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  readonly total: ThreadSample;
  /** The core's own thread, then each worker, those of the shared port last. */
  readonly threads: readonly ThreadSample[];
  /** Slots in use, of the pools of all threads. */
  readonly pools: {
    readonly events: number;
    readonly receiveBuffers: number;
    readonly sendBuffers: number;
    readonly timers: number;
    /** Threads of the shared port that hold a slot and work on a packet. */
    readonly slots: number;
  };
  readonly bytesQueued: number;
  /** How often something went wrong since the start. */
  readonly troubles: {
    readonly refused: number;
    readonly timedOut: number;
    readonly failed: number;
    readonly overflowed: number;
    readonly droppedMessages: number;
    readonly starved: number;
    readonly skipped: number;
    readonly lateTimers: number;
    readonly droppedPackets: number;
    readonly blocked: number;
  };
  /** Of the pool of jobs; null without one. */
  readonly jobs: JobSample | null;
}

/** A pool of jobs. */
export interface JobSample {
  readonly queued: number;
  readonly running: number;
  /** Jobs a second, also those that failed. */
  readonly done: number;
  /** For each thread: how often it woke for a job, a second. */
  readonly wakeUps: readonly number[];
}
