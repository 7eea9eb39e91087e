// A socket of an IOCP port. Each part of the driver keeps its own state of a socket in one field of it.

import { hasNoAddress } from '../contract/endpoint.js';
import type { SocketOptionName, SocketOptionValue } from '../contract/options.js';
import type { CompletionPacket, Endpoint, Overlapped } from '../contract/port.js';
import { disown, Owned } from '../native/ledger.js';
import type { DatagramState } from '../port/datagrams.js';
import type { Port } from '../port/port.js';
import { type Kind, Socket } from '../port/socket.js';
import type { ListenerState } from './acceptor.js';
import type { FileInFlight } from './file-sender.js';
import type { PipeState } from './pipe.js';
import type { PipeListenerState } from './pipe-acceptor.js';
import type { ReceiveStream } from './receiver.js';
import { applyOption } from './socket-options.js';
import { endpointOf } from './winsock.js';
import { getpeername, getsockname } from './ws2_32.js';

/** The state of a listener, on an address or on a pipe. */
export type Listening = ListenerState | PipeListenerState;

export class Win32Socket extends Socket {
  /** The kernel queues no packet for an operation that succeeds at once. Set with the handle. */
  skipsPacketOnSuccess = false;
  /** The close is a reset. */
  reset = false;
  /** Set for Kind.Listener only. */
  readonly listening: Listening | null;
  /** Set for an end of a named pipe. */
  pipe: PipeState | null = null;
  /** An instance of a pipe waits for its client: the listener, and the event of its accept. */
  accepting: { readonly listener: Win32Socket; readonly event: Overlapped } | null = null;
  /** Set by the first receive(). */
  receive: ReceiveStream | null = null;
  /** The file of the send in flight. */
  file: FileInFlight | null = null;

  constructor(
    port: Port<Win32Socket>,
    kind: Kind,
    listening: Listening | null = null,
    datagrams: DatagramState | null = null,
  ) {
    super(port, kind, -1, datagrams);
    this.listening = listening;
  }

  localEndpoint(): Endpoint {
    return this.#endpoint('getsockname', getsockname);
  }

  remoteEndpoint(): Endpoint {
    return this.#endpoint('getpeername', getpeername);
  }

  /** A named pipe ignores them. */
  protected override applyOption(name: SocketOptionName, value: SocketOptionValue, action: string): void {
    if (this.pipe === null) applyOption(this.handle, name, value, action);
  }

  override dequeued(packet: CompletionPacket): void {
    super.dequeued(packet);
    // From now on the user owns it.
    if (packet.handle >= 0) disown(Owned.Handle, packet.handle);
  }

  #endpoint(syscall: string, ask: typeof getsockname): Endpoint {
    if (this.pipe !== null || (this.listening !== null && 'path' in this.listening)) throw hasNoAddress(syscall);
    return endpointOf(this.handle, syscall, ask);
  }
}
