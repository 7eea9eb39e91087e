/**
 * The package's face: the pools that own a server's memory and objects.
 *
 * @module @overlapped/object-pool
 */

export { BufferPool } from './buffer-pool.js';
export { IocpEvent, IocpEventPool } from './iocp-event.js';
export { ObjectPool, type ObjectPoolOptions } from './object-pool.js';
export { Slab } from './slab.js';
