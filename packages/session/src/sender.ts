// Names the send buffers that sessions take: a handler has the pool, by its core, and must not give back what another sends.

/** The owner of send buffers that hold what sessions send. */
export const SENDER = {};
