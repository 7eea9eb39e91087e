// Modules of Node that most servers do not use, loaded when they are first needed: together they are 0.65 MB of each thread's heap.
// While a heap is below 8 MiB, V8 starts no full collection (mark-compact), however much a stream receives; see docs/PERFORMANCE.md.

export const nodeCrypto = () => process.getBuiltinModule('node:crypto');
export const nodeTls = () => process.getBuiltinModule('node:tls');
export const webStreams = () => process.getBuiltinModule('node:stream/web');
