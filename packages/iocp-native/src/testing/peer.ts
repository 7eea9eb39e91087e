// The other end of a connection, for scripts: a TCP client or server that a test controls byte by byte.

import type { Endpoint } from '../contract/port.js';
import type { End } from './connection.js';
import type { Acceptor, Network } from './network.js';

/** Callbacks of a peer. All are optional: a script may as well look at the peer. */
export interface PeerHandlers {
  /** The connection is there; `local` and `remote` say between whom. */
  onConnected?(peer: SimulatedPeer): void;
  /** Bytes have come. Without this they wait for read(). */
  onData?(peer: SimulatedPeer, data: Buffer): void;
  /** The other end's FIN has come, after its last byte. */
  onEnd?(peer: SimulatedPeer): void;
  /** Both directions have ended, or the connection is broken: `error` says so. */
  onClosed?(peer: SimulatedPeer): void;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  at: number;
  readonly sent: (() => void) | undefined;
}

/** One TCP connection, as a script has it. */
export class SimulatedPeer {
  /** The connection is there, or has been. */
  connected = false;
  /** The other end's FIN has come, after its last byte. */
  ended = false;
  /** Both directions have ended, or the connection is broken; `error` says so. */
  closed = false;
  /** Why the connection could not be had, or broke: an error code, such as ECONNREFUSED or ECONNRESET. */
  error: string | null = null;
  /** Where it connects from, or listens. */
  local: Endpoint | undefined;
  readonly #handlers: PeerHandlers;
  #end: End | null = null;
  #reading = true;
  #received: Buffer[] = [];
  /** Bytes that wait for read(). */
  received = 0;
  readonly #outgoing: Outgoing[] = [];
  #ending = false;
  #shut = false;

  constructor(handlers: PeerHandlers) {
    this.#handlers = handlers;
  }

  /** For the simulation: the connection is there, or is not to be had. @internal */
  settle(result: End | string): void {
    if (this.closed) {
      if (typeof result !== 'string') result.close(true);
    } else if (typeof result === 'string') {
      this.#over(result);
    } else {
      this.#end = result;
      this.connected = true;
      this.local = result.local;
      result.owner = {
        onReadable: () => this.#take(),
        onWritable: () => this.#send(),
        onBroken: () => this.#onBroken(),
      };
      this.#handlers.onConnected?.(this);
      this.#send();
      this.#take();
      if (result.broken !== null) this.#onBroken();
    }
  }

  /** The other end, from the connection on. */
  get remote(): Endpoint | undefined {
    return this.#end?.remote;
  }

  /** Whether write() and end() have an effect. */
  get writable(): boolean {
    return !this.closed && !this.#ending;
  }

  /** Sends bytes, as the other end's window allows; they must not change until `sent` is called. */
  write(bytes: Uint8Array | string, sent?: () => void): void {
    this.#outgoing.push({ bytes: typeof bytes === 'string' ? Buffer.from(bytes) : bytes, at: 0, sent });
    this.#send();
  }

  /** Sends bytes, then half-closes. */
  end(bytes?: Uint8Array | string): void {
    if (bytes !== undefined) this.write(bytes);
    this.#ending = true;
    this.#send();
  }

  /** Closes at once: bytes that wait are dropped. Bytes that were not read make it a reset. */
  destroy(): void {
    this.#close(false);
  }

  /** The same, and the other end sees a reset in any case. */
  reset(): void {
    this.#close(true);
  }

  /** Reads no more: the window holds the other end back. */
  pause(): void {
    this.#reading = false;
  }

  /** Undoes pause(): bytes that have come meanwhile are read before this returns. */
  resume(): void {
    this.#reading = true;
    this.#take();
  }

  /** Takes the bytes that have come, or `length` of them. */
  read(length = this.received): Buffer {
    const all = Buffer.concat(this.#received);
    const rest = all.subarray(length);
    this.#received = rest.length > 0 ? [rest] : [];
    this.received = rest.length;
    return all.subarray(0, length);
  }

  #take(): void {
    const end = this.#end;
    while (end !== null && this.#reading && !this.closed && end.unread > 0) {
      const piece = end.take();
      if (this.#handlers.onData) {
        this.#handlers.onData(this, piece);
      } else {
        this.#received.push(piece);
        this.received += piece.length;
      }
    }
    if (end === null || !this.#reading || this.closed || this.ended || !end.finished) return;
    this.ended = true;
    this.#handlers.onEnd?.(this);
    this.#closeWhenOver();
  }

  #send(): void {
    const end = this.#end;
    if (end === null || this.closed) return;
    for (let next = this.#outgoing[0]; next !== undefined; next = this.#outgoing[0]) {
      next.at += end.write(next.bytes.subarray(next.at));
      if (next.at < next.bytes.length) return;
      this.#outgoing.shift();
      next.sent?.();
    }
    if (!this.#ending || this.#shut) return;
    this.#shut = true;
    end.shutdown();
    this.#closeWhenOver();
  }

  #onBroken(): void {
    this.#take();
    if (!this.closed) this.#over(this.#end!.broken);
  }

  #closeWhenOver(): void {
    if (this.ended && this.#shut) this.#close(false);
  }

  #close(reset: boolean): void {
    if (this.closed) return;
    this.#end?.close(reset);
    this.#over(null);
  }

  #over(error: string | null): void {
    this.closed = true;
    this.error = error;
    this.#outgoing.length = 0;
    this.#handlers.onClosed?.(this);
  }
}

/** A server of peers, for programs that connect. */
export class SimulatedServer {
  /** Where it listens; the port that it was given for 0. */
  readonly endpoint: Endpoint;
  /** Every peer that it has made, oldest first. */
  readonly peers: SimulatedPeer[] = [];
  readonly #network: Network;
  readonly #acceptor: Acceptor;

  /** Throws an Error when it cannot listen there. */
  constructor(network: Network, local: Endpoint, handlers: PeerHandlers) {
    const onConnection = (end: End) => {
      const peer = new SimulatedPeer(handlers);
      this.peers.push(peer);
      peer.settle(end);
      return true;
    };
    this.#acceptor = { onConnection };
    const bound = network.bind(local, false, this.#acceptor);
    if (typeof bound === 'string') throw new Error(`a simulated server cannot listen: ${bound}`);
    this.endpoint = bound;
    this.#network = network;
  }

  /** Listens no more; connections go on. */
  close(): void {
    this.#network.unbind(this.#acceptor);
  }
}
