// A socket of an io_uring port: what the kernel has of it, grouped by the class that writes it.

import type { IocpError } from '../../contract/errors.js';
import type { CompletionPacket, Overlapped } from '../../contract/port.js';
import { disown, Owned } from '../../native/ledger.js';
import type { DatagramState } from '../../port/datagrams.js';
import type { Port } from '../../port/port.js';
import type { Kind, Socket } from '../../port/socket.js';
import type { SocketFile } from '../../port/socket-file.js';
import { LinuxSocket } from '../socket.js';
import { setReset } from '../sockets.js';
import type { FileInFlight } from './file-sender.js';

export class UringSocket extends LinuxSocket {
  // The fields lie in the socket itself, in groups by the class that writes them: an object for each group would cost an idle
  // connection 64 bytes.

  // The send in flight: the sender's, and the file sender's.

  /** Bytes that the kernel has not taken yet, and those that it has. */
  sendLeft = 0;
  sendDone = 0;
  /** Where the rest lies in memory; 0 when the msghdr in the event says it. */
  sendAddress = 0;
  sendCanceled = false;
  /** The file that is sent; null when the send is from memory. */
  file: FileInFlight | null = null;

  // Writability's.

  /** The send waits until the socket is writable, and the kernel does not have it. */
  waitsToSend = false;
  /** The epoll knows the socket. */
  inEpoll = false;

  // The receiver's.

  /** The kernel has the receive stream. */
  receiveArmed = false;
  /** The stream waits for a free receive buffer, and the kernel does not have it. */
  receiveStarved = false;
  receiveCanceled = false;

  // Of other classes.

  /** Set for a listener only. */
  readonly accepting: AcceptState | null;
  /** The kernel has the connect. The connector's. */
  connectArmed = false;
  /** The kernel has the close. The driver's, as is the next one. */
  closeArmed = false;
  /** The ledger's record of the handle while the kernel has the close; -1 for none. */
  closeRecord = -1;

  constructor(
    port: Port<UringSocket>,
    kind: Kind,
    handle: number,
    datagrams: DatagramState | null = null,
    accepting: AcceptState | null = null,
  ) {
    super(port as unknown as Port<Socket>, kind, handle, datagrams);
    this.accepting = accepting;
  }

  override dequeued(packet: CompletionPacket): void {
    super.dequeued(packet);
    // The taker of the packet owns a detached connection from now on.
    if (packet.handle >= 0) disown(Owned.Handle, packet.handle);
  }
}

/**
 * The accepts of a listener. The kernel has one multishot accept while accepts wait. Its connections go to the accepts in order.
 * The acceptor's.
 */
export class AcceptState {
  /** Events of accepts that wait, oldest first. */
  readonly waiting: Overlapped[] = [];
  /** Connections that came while no accept waited, oldest first. */
  readonly ready: number[] = [];
  /** The kernel has the multishot accept. */
  armed = false;
  /** Packets bring a connection as a number, for a port of any thread. */
  readonly detached: boolean;
  /** The file of a local listener. It is removed with the listener. */
  readonly file: SocketFile | null;

  constructor(detached: boolean, file: SocketFile | null) {
    this.detached = detached;
    this.file = file;
  }
}

/** A close that cuts a send short must be a reset: the peer must not take the part for the whole. */
export function resetIfCut(socket: UringSocket, error: IocpError | null): void {
  if (socket.closing && error !== null) setReset(socket.handle);
}
