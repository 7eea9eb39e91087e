// The job of a pool.

export const answer = () => 'served';
