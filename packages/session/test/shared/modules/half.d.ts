// The types of half.js, for its tests.

export const PEER_ENDED: number;
