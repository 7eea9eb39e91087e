/**
 * What goes from thread to thread: sockets that no port has adopted, memory, what a lost thread has left, and ports that
 * several threads wait on.
 *
 * @module @overlapped/iocp-native/threads
 */

export { closeHandle, reap, recoverPoster, remoteEndpointOf } from './backend.js';
export type { LeftOver } from './contract/driver.js';
export { createLedger, keepLedger } from './native/ledger.js';
export { blockAt } from './native/memory.js';
export { shareBlock } from './native/shared-blocks.js';
export { leavePosted } from './port/handed-posts.js';
export {
  createSharedPort,
  openSharedPort,
  type SharedPacket,
  type SharedPort,
  type SharedPortOptions,
  type SharedPortToken,
} from './shared-port/index.js';
