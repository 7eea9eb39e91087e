// The faults of a simulation, and how often they come. By default nothing breaks, but nothing is convenient either: bytes come in
// pieces of any size, and everything takes its time.

/** The faults of a simulation, how often they come, and how long operations may take. */
export interface Faults {
  /** The most bytes that arrive at a time; a piece has 1 to so many. Default 1460. */
  readonly segment: number;
  /** Bytes that one end of a connection may send before the other one reads. Default 65,536. */
  readonly window: number;
  /** The most milliseconds that something is on its way to the other end. Default 1. */
  readonly latency: number;
  /** The most milliseconds from the end of an operation to its packet, so that packets overtake each other. Default 0.1. */
  readonly completion: number;
  /** The most milliseconds from a start until the kernel knows of it: a submission queue that was full. Default 0. */
  readonly submission: number;
  /** The most milliseconds from a packet to the call of the port's watcher. Default 0.01. */
  readonly wakeUp: number;

  // The rest are probabilities, 0 to 1. Default 0.

  /** The network breaks a connection, for each piece of data. */
  readonly reset: number;
  /** A connect is refused, or times out. */
  readonly refuse: number;
  /** An accept fails: ECONNABORTED, and its connection is lost; or EMFILE, and the connection waits for the next. */
  readonly accept: number;
  /** A connect, a send or a receive fails since the system is out of memory (ENOBUFS) or of descriptors (EMFILE). */
  readonly exhaustion: number;
  /** A cancel, or a close, comes too late: the operation has its result. */
  readonly lateCancel: number;
  /** A second completion of a socket that has closed turns up later, when its slot may serve another. */
  readonly latePacket: number;
  /** dequeue() brings less than there is: a completion queue that overflowed. */
  readonly overflow: number;
  /** A watcher is called for nothing. */
  readonly spuriousWakeUp: number;
}

export const defaults: Faults = {
  segment: 1460,
  window: 65536,
  latency: 1,
  completion: 0.1,
  submission: 0,
  wakeUp: 0.01,
  reset: 0,
  refuse: 0,
  accept: 0,
  exhaustion: 0,
  lateCancel: 0,
  latePacket: 0,
  overflow: 0,
  spuriousWakeUp: 0,
};
