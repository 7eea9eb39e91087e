// The owner of send buffers in use. A handler can reach the pool (core.sendBuffers), and must not release a buffer of a session.
export const SENDER = {};
