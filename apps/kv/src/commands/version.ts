// What clients are told when they ask for the server's version.

/** The Redis whose replies these are. */
export const REDIS_VERSION = '7.0.15';
