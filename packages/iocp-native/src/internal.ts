/**
 * For the packages of this repository. This entry is no promise: any name of it may change or go in any version.
 *
 * @module @overlapped/iocp-native/internal
 */

export { closeHandle, reap, recoverPoster, remoteEndpointOf } from './backend.js';
export type { LeftOver } from './contract/driver.js';
export { DATAGRAM_OPTIONS, datagramOptionChecks, SOCKET_OPTIONS, socketOptionChecks } from './contract/options.js';
export { debugging, POISON, SlotWatch, strideOf, Uses, watchOf } from './debug.js';
export { checkGrace, DEFAULT_GRACE } from './grace.js';
export { LinuxSharedSockets } from './linux/shared-sockets.js';
export { koffi, viewOf } from './native/koffi.js';
export { createLedger, keepLedger } from './native/ledger.js';
export { guarded, keepGuard, LoadGuard } from './native/load-guard.js';
export { blockAt, sectionOf } from './native/memory.js';
export { shareBlock } from './native/shared-blocks.js';
export {
  above,
  atLeast,
  bool,
  type Check,
  type Checks,
  callback,
  checkGiven,
  checkHandlers,
  checkOptions,
  group,
  object,
  oneOf,
  outOfRange,
  text,
  whole,
  wrongType,
} from './options.js';
export { Gate } from './port/gate.js';
export { leavePosted } from './port/handed-posts.js';
export { SharedLock } from './port/shared-lock.js';
export { EpollPort } from './shared-port/epoll-port.js';
export {
  createSharedPort,
  openSharedPort,
  type SharedPacket,
  type SharedPort,
  type SharedPortOptions,
  type SharedPortToken,
} from './shared-port/index.js';
export { IocpPort } from './shared-port/iocp-port.js';
export { PortMemory, State as PortState } from './shared-port/memory.js';
export { LISTENER, Ready, type SharedSockets, type SocketPort, WOULD_BLOCK } from './shared-port/socket-contract.js';
export {
  createSocketPort,
  destroySocketPort,
  hasSocketPort,
  listenShared,
  openSocketPort,
  type SocketPortToken,
} from './shared-port/sockets.js';
export { hasThreadEnded, ownThread } from './shared-port/thread-end.js';
export { Sleep } from './shared-port/thread-state.js';
export { type CarriedError, carryError, describe, landError } from './threads/carried-error.js';
export { moduleUrl } from './threads/module-url.js';
export { startThread, threadEntry } from './threads/thread-entry.js';
export { byteOffsetOf, copyInto, lengthOf, memoryOf, plainView } from './typed-arrays.js';
export { win32Backend } from './win32/backend.js';
export { Win32SharedSockets } from './win32/shared-sockets.js';
