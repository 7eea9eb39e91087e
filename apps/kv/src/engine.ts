// The server without what carries its bytes, for the bench to put on something else.

export { Client, type Transport } from './client.js';
export { Kv } from './kv.js';
export { CHUNK } from './resp/reply.js';
