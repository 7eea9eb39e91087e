// A socket of an io_uring port: its operations in the kernel, grouped by the class that writes them.

import type { IocpError } from '../../contract/errors.js';
import type { CompletionPacket, Overlapped } from '../../contract/port.js';
import { disown, Owned } from '../../native/ledger.js';
import type { DatagramState } from '../../port/datagrams.js';
import type { Port } from '../../port/port.js';
import type { Kind, Socket } from '../../port/socket.js';
import type { SocketFile } from '../../port/socket-file.js';
import { FIRST_DRIVER_BIT, LinuxSocket } from '../socket.js';
import { setReset } from '../sockets.js';
import type { FileInFlight } from './file-sender.js';

const SEND_CANCELED = FIRST_DRIVER_BIT;
const WAITS_TO_SEND = FIRST_DRIVER_BIT << 1;
const IN_EPOLL = FIRST_DRIVER_BIT << 2;
const RECEIVE_ARMED = FIRST_DRIVER_BIT << 3;
const RECEIVE_STARVED = FIRST_DRIVER_BIT << 4;
const RECEIVE_CANCELED = FIRST_DRIVER_BIT << 5;
const CONNECT_ARMED = FIRST_DRIVER_BIT << 6;
const CLOSE_ARMED = FIRST_DRIVER_BIT << 7;
const RECEIVE_POLLS = FIRST_DRIVER_BIT << 8;
const RECEIVE_CHANGES = FIRST_DRIVER_BIT << 9;

export class UringSocket extends LinuxSocket {
  // The fields lie in the socket itself, in groups by the class that writes them: an object for each group would cost an idle
  // connection 64 bytes.

  // The send in flight: the sender's, and the file sender's.

  /** Bytes that the kernel has not taken yet, and those that it has. */
  sendLeft = 0;
  sendDone = 0;
  /** Where the rest lies in memory; 0 when the msghdr in the event says it. */
  sendAddress = 0;
  /** The file that is sent; null when the send is from memory. */
  file: FileInFlight | null = null;

  // Of other classes.

  /** Set for a listener only. */
  readonly accepting: AcceptState | null;
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

  /** The send was canceled. */
  get sendCanceled(): boolean {
    return this.has(SEND_CANCELED);
  }

  set sendCanceled(on: boolean) {
    this.mark(SEND_CANCELED, on);
  }

  /** The send waits until the socket is writable, and the kernel does not have it. Writability's. */
  get waitsToSend(): boolean {
    return this.has(WAITS_TO_SEND);
  }

  set waitsToSend(on: boolean) {
    this.mark(WAITS_TO_SEND, on);
  }

  /** The epoll knows the socket. Writability's. */
  get inEpoll(): boolean {
    return this.has(IN_EPOLL);
  }

  set inEpoll(on: boolean) {
    this.mark(IN_EPOLL, on);
  }

  /** The kernel has the receive stream. The receiver's. */
  get receiveArmed(): boolean {
    return this.has(RECEIVE_ARMED);
  }

  set receiveArmed(on: boolean) {
    this.mark(RECEIVE_ARMED, on);
  }

  /** The stream waits for a free receive buffer, and the kernel does not have it. The receiver's. */
  get receiveStarved(): boolean {
    return this.has(RECEIVE_STARVED);
  }

  set receiveStarved(on: boolean) {
    this.mark(RECEIVE_STARVED, on);
  }

  /** The receive stream was canceled. The receiver's. */
  get receiveCanceled(): boolean {
    return this.has(RECEIVE_CANCELED);
  }

  set receiveCanceled(on: boolean) {
    this.mark(RECEIVE_CANCELED, on);
  }

  /** What the kernel has of the receive stream is a poll, and the bytes come by recv() into memory of their own. The receiver's. */
  get receivePolls(): boolean {
    return this.has(RECEIVE_POLLS);
  }

  set receivePolls(on: boolean) {
    this.mark(RECEIVE_POLLS, on);
  }

  /** The multishot receive was canceled, so that a poll takes its place. The receiver's. */
  get receiveChanges(): boolean {
    return this.has(RECEIVE_CHANGES);
  }

  set receiveChanges(on: boolean) {
    this.mark(RECEIVE_CHANGES, on);
  }

  /** The kernel has the connect. The connector's. */
  get connectArmed(): boolean {
    return this.has(CONNECT_ARMED);
  }

  set connectArmed(on: boolean) {
    this.mark(CONNECT_ARMED, on);
  }

  /** The kernel has the close. The driver's. */
  get closeArmed(): boolean {
    return this.has(CLOSE_ARMED);
  }

  set closeArmed(on: boolean) {
    this.mark(CLOSE_ARMED, on);
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
