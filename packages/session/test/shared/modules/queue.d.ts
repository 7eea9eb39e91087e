export const DRAINED: number;
export const GOT: number;
