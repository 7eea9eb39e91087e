// The types of queue.js, for its tests.

export const DRAINED: number;
export const GOT: number;
export const SENT: number;
export const REFUSED: number;
