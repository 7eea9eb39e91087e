// The server without its transport, for the bench to put on another one.

export { Client, type Transport } from './client.js';
export { Kv } from './kv.js';
export { CHUNK } from './resp/reply.js';
