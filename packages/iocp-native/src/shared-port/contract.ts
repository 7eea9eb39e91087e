// The shared port's contract: a completion port that several threads wait on, for posted packets only. Packets leave it
// first in, first out; waiting threads wake last in, first out, so that few threads stay warm; at most `concurrency`
// threads run at a time. A thread that comes back to wait() goes on with the next packet without a switch.

/** The handle for other threads to open a shared port. It can be sent to a worker as it is. */
export interface SharedPortToken {
  /** The keeper of the port: the kernel (Windows), or shared memory. */
  readonly kind: 'kernel' | 'memory';
  /** The completion port's HANDLE; -1 where there is none. */
  readonly handle: number;
  /** The queue and the waiting threads; where the kernel keeps them, whether the port is closed. */
  readonly memory: SharedArrayBuffer;
}

/** A packet that was posted. Reused: good until the next wait() of this SharedPort. */
export interface SharedPacket {
  /** What post() was given. */
  readonly key: number;
  /** What post() was given. */
  readonly bytes: number;
}

/** A thread's view of a shared port. Each thread opens its own. */
export interface SharedPort {
  /** True once any thread has closed the port. */
  readonly closed: boolean;
  /** How often this thread has slept in wait(). */
  readonly wakeUps: number;

  /**
   * Queues a packet with `key` and `bytes` (each 0 to 2^32 - 1) and wakes a thread, if one may run.
   * False when the queue is full or the port is closed; or for a while, when a thread was terminated in the middle of a
   * call to the port: keep the packet and try again.
   */
  post(key: number, bytes: number): boolean;

  /**
   * Ends this thread's work on its last packet, and takes the oldest one. Blocks the thread up to `timeout` milliseconds
   * (0: not at all; -1: for ever). Null when there was none in that time, or the port is closed (`closed` says which).
   */
  wait(timeout: number): SharedPacket | null;

  /**
   * Runs `fn`, which is about to block; meanwhile another thread may run in this one's place. Windows and Linux notice
   * also without this that a thread is blocked: Windows at once, Linux within some milliseconds.
   */
  blocking<T>(fn: () => T): T;

  /** This thread lets another run in its place until its next wait(). */
  leave(): void;

  /** Closes the port for all threads: wait() gives null in each. Packets that no thread has taken are discarded. */
  close(): void;

  /**
   * Takes back the slot and the lock of a thread that was terminated, or ran out of memory. The thread that started it calls
   * this after its `exit` event. The packet that it had taken is lost.
   */
  recover(threadId: number): void;
}
