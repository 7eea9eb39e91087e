// What the tests of the shared port and their threads have in common: the jobs, and what a log says of them.

export const Job = {
  /** Ends at once. */
  None: 0,
  /** Keeps its core until its flag is set. */
  Spin: 1,
  /** Blocks until its flag is set. */
  Block: 2,
  /** The same, having said so. */
  Declare: 3,
  /** Gives its slot up, and keeps its core until its flag is set. */
  Leave: 4,
  /** Keeps its core for some 10 ms. */
  Compute: 5,
  /** Spin, then Compute. */
  SpinThenCompute: 6,
  /** Block, then Spin until the flag of the key after it is set. */
  BlockThenSpin: 7,
};

export const Event = { Waits: 1, Starts: 2, Ends: 3, Closed: 4, Null: 5 };
