// The types of script.js, which the threads read as well.

type Code<Name extends string> = Readonly<Record<Name, number>>;
export const Job: Code<
  'None' | 'Spin' | 'Block' | 'Declare' | 'Leave' | 'Compute' | 'SpinThenCompute' | 'BlockThenSpin'
>;
export const Event: Code<'Waits' | 'Starts' | 'Ends' | 'Closed' | 'Null'>;
