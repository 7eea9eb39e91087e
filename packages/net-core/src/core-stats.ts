// The statistics of cores as users see them. A package above declares the statistics that it registers in CoreStats, too.

/** One set of statistics: levels first, then counters since the core opened. `packets / wakeUps` is the size of a batch. */
export interface CoreStats {
  /** Sessions that are open. */
  readonly sessions: number;
  /** Events that are out of their pool: operations in flight, accepts among them. */
  readonly events: number;
  /** Receive buffers that hold received bytes, or bytes that are sent from there. */
  readonly receiveBuffers: number;
  /** Send buffers that are out of their pool, and the blocks that sends took when the pool was empty. */
  readonly sendBuffers: number;
  /** Timers that are set. */
  readonly timers: number;
  /** Threads of the shared port that hold a slot and work on a packet. 0 on Windows: its kernel keeps the slots, and tells only how many packets wait. */
  readonly slots: number;
  /** Completion packets. */
  readonly packets: number;
  /** Times that the pump found packets. */
  readonly wakeUps: number;
  /** Seconds spent in handing packets to their owners. `dispatchSeconds / wakeUps`: how long the last of a batch waits. */
  readonly dispatchSeconds: number;
  /** Timers that ran more than 3 ms after they were due. */
  readonly lateTimers: number;
  /** Packets that were dropped, since their slot served another operation already. */
  readonly droppedPackets: number;
  /** Times that data was there and no receive buffer was free. */
  readonly starved: number;
  /** Times that a broadcast skipped a session whose queue was full, or a worker thread that does not run. */
  readonly skipped: number;
  /** Sessions that were lost with their worker thread: they had no onDisconnected. */
  readonly lost: number;
  /** Times that a handler blocked its thread, and another thread of the shared port got its slot. 0 on Windows: its kernel gives the slot on, and does not tell. */
  readonly blocked: number;
}

/** The result of `core.stats()`. */
export interface ServerStats {
  /** The sums, with the counters of threads that were lost. */
  readonly total: CoreStats;
  /** The core's own thread. */
  readonly own: CoreStats;
  /** Each worker thread: those of pinned sessions, then those of the shared port. Open shared sessions, and the bytes that they have queued, are in the total only. */
  readonly workers: readonly CoreStats[];
  /** Worker threads that do not run at the moment: a handler has not returned for seconds. */
  readonly hungWorkers: number;
}
