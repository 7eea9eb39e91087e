// Accepting: while accepts wait, the kernel has one multishot accept for each listener. The connections that it brings go to
// the accepts in order, as AcceptEx would have it.

import { type CompletionPacket, Operation, type Overlapped } from '../../contract/port.js';
import { disown, Owned, own } from '../../native/ledger.js';
import type { Port } from '../../port/port.js';
import { Kind } from '../../port/socket.js';
import { canceled, ECANCELED, linuxPacketError } from '../errors.js';
import { CQE_FLAG } from '../layout.js';
import { fill } from '../packets.js';
import { cancelOperation, setOwner } from './completions.js';
import type { Ring } from './ring.js';
import { UringSocket } from './socket.js';
import { prepAcceptMultishot } from './submissions.js';

/** Connections that may be ready while no accept waits. With so many the multishot accept is cancelled. */
const READY_LIMIT = 1024;

export class Acceptor {
  readonly #port: Port<UringSocket>;
  readonly #ring: Ring;

  constructor(port: Port<UringSocket>, ring: Ring) {
    this.#port = port;
    this.#ring = ring;
  }

  accept(listener: UringSocket, event: Overlapped): void {
    const accepting = listener.accepting!;
    const handle = accepting.ready.shift();
    if (handle !== undefined) {
      this.#queueConnection(listener, event, handle);
      return;
    }
    accepting.waiting.push(event);
    if (!accepting.armed) this.#arm(listener);
  }

  cancel(listener: UringSocket, event: Overlapped): void {
    const { waiting } = listener.accepting!;
    const at = waiting.indexOf(event);
    if (at < 0) return;
    waiting.splice(at, 1);
    this.#queueCanceled(listener, event);
  }

  /** A completion of the multishot accept. True when it filled the packet. */
  complete(listener: UringSocket, result: number, flags: number, packet: CompletionPacket): boolean {
    const accepting = listener.accepting!;
    if ((flags & CQE_FLAG.MORE) === 0) accepting.armed = false;
    if (result >= 0) own(Owned.Handle, result);
    const event = result !== -ECANCELED ? accepting.waiting.shift() : undefined;
    if (event !== undefined) {
      const error = result >= 0 ? null : linuxPacketError('accept a connection', 'accept', -result);
      fill(packet, Operation.Accept, listener.key, event, null, 0, error);
      if (result >= 0) this.#bring(listener, result, packet);
      if (accepting.detached) disown(Owned.Handle, result);
      this.#port.finish(listener, event);
    } else if (result >= 0) {
      accepting.ready.push(result);
      if (accepting.ready.length === READY_LIMIT) cancelOperation(this.#ring, listener, Operation.Accept, 0);
    }
    if (!accepting.armed) {
      if (listener.closing) this.#end(listener);
      else if (accepting.waiting.length > 0) this.#arm(listener);
    }
    return event !== undefined;
  }

  /** Phase one of a close. */
  close(listener: UringSocket): void {
    const { file, armed } = listener.accepting!;
    file?.remove();
    if (armed) cancelOperation(this.#ring, listener, Operation.Accept, 0);
    else this.#end(listener);
  }

  /** Whether the kernel still has an accept that was cancelled. */
  isCanceled(listener: UringSocket): boolean {
    const { armed, ready } = listener.accepting!;
    return armed && (listener.closing || ready.length >= READY_LIMIT);
  }

  /** The kernel has no accept: ready connections come out, waiting accepts are cancelled. */
  #end(listener: UringSocket): void {
    const { ready, waiting } = listener.accepting!;
    for (const handle of ready.splice(0)) {
      this.#port.begin(listener, null);
      this.#queueConnection(listener, null, handle);
    }
    for (const event of waiting.splice(0)) this.#queueCanceled(listener, event);
    this.#port.proceed(listener);
  }

  #arm(listener: UringSocket): void {
    listener.accepting!.armed = true;
    setOwner(this.#ring, prepAcceptMultishot(this.#ring, listener.handle), listener, Operation.Accept, 0);
  }

  #queueConnection(listener: UringSocket, event: Overlapped | null, handle: number): void {
    this.#bring(listener, handle, this.#port.queue(Operation.Accept, listener, event, null));
  }

  #queueCanceled(listener: UringSocket, event: Overlapped): void {
    this.#port.queue(Operation.Accept, listener, event, canceled('accept', 'accept')).socket = null;
  }

  #bring(listener: UringSocket, handle: number, packet: CompletionPacket): void {
    if (listener.accepting!.detached) {
      packet.socket = null;
      packet.handle = handle;
    } else {
      packet.socket = this.#port.add(new UringSocket(this.#port, Kind.Connection, handle));
    }
  }
}
