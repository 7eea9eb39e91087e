export const PEER_ENDED: number;
