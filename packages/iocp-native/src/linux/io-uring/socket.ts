// A socket of an io_uring port: its state.

import { isPipe } from '../../contract/endpoint.js';
import type { IocpError } from '../../contract/errors.js';
import type { Endpoint, KeepAlive, Overlapped, PipeEndpoint, PortSocket } from '../../contract/port.js';
import type { DatagramState } from '../../port/datagrams.js';
import { SocketFile } from '../../port/socket-file.js';
import * as abi from '../layout.js';
import { getpeername, getsockname } from '../libc.js';
import { applyKeepAlive, endpointOf, setOption, setReset } from '../sockets.js';
import type { FileInFlight } from './file-sender.js';

export class UringSocket implements PortSocket {
  handle: number;
  key: unknown = undefined;
  pending = 0;
  /** Place in the port's table, which the kernel sends back with each completion. */
  readonly index: number;
  receiving: Overlapped | null = null;
  sending: Overlapped | null = null;
  connecting: Overlapped | null = null;
  /** The file that `sending` sends; null when that sends from memory. */
  file: FileInFlight | null = null;
  /** Bytes of the send in flight that the kernel has not taken yet, and those that it has. */
  sendLeft = 0;
  sent = 0;
  /** Where they lie; 0 when a msghdr in the event tells. */
  sendAddress = 0;
  /** cancel() was asked of the send. */
  sendCanceled = false;
  /** The send is not with the kernel until the peer has taken something (see room.ts). */
  waitsForRoom = false;
  /** It has waited before: the epoll knows it. */
  inEpoll = false;
  /** cancel() was asked of the receive stream. */
  receiveCanceled = false;
  /** The receive stream waits for a free buffer and is not with the kernel. */
  starved = false;
  shuttingDown = false;
  closing = false;
  /** Where the ledger has it while its close is with the ring; -1 for nowhere. */
  record = -1;
  /** A listener's own state; null for a connection. */
  readonly listener: ListenerState | null;
  /** A datagram socket's own; null for others. */
  readonly datagrams: DatagramState | null;

  constructor(handle: number, index: number, listener: ListenerState | null, datagrams: DatagramState | null) {
    this.handle = handle;
    this.index = index;
    this.listener = listener;
    this.datagrams = datagrams;
  }

  localEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getsockname', getsockname);
  }

  remoteEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getpeername', getpeername);
  }

  setNoDelay(on: boolean): void {
    setOption(this.handle, abi.IPPROTO_TCP, abi.TCP_NODELAY, on ? 1 : 0, 'set TCP_NODELAY');
  }

  setKeepAlive(keepAlive: number | KeepAlive): void {
    applyKeepAlive(this.handle, keepAlive, 'set SO_KEEPALIVE');
  }
}

/** A listener keeps one multishot accept with the kernel while accepts wait, and matches the two in order. */
export class ListenerState {
  /** Events of accepts that wait, oldest first. */
  readonly waiting: Overlapped[] = [];
  /** Connections that came with no accept waiting, oldest first. */
  readonly ready: number[] = [];
  /** The multishot accept is with the kernel. */
  armed = false;
  /** What it accepts is handed out as a number, for a port of any thread. */
  readonly detached: boolean;
  /** The file of a local listener, to be removed with it. */
  readonly file: SocketFile | null;

  /** @param local where it is bound already. */
  constructor(detached: boolean, local: Endpoint | PipeEndpoint) {
    this.detached = detached;
    this.file = isPipe(local) ? SocketFile.of(local.path) : null;
  }
}

/** A close that cuts a send short is a reset: no peer may take what is left for the whole. */
export function resetIfCut(socket: UringSocket, error: IocpError | null): void {
  if (socket.closing && error !== null) setReset(socket.handle);
}
