// A datagram socket over a dgram.Socket, which cannot be paused: what comes while no stream runs or no buffer is free is
// kept, up to a limit.

import assert from 'node:assert';
import { createSocket, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { endpointText, told } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import { countOf, totalOf } from '../contract/gather-list.js';
import { type DatagramOptions, type Endpoint, type GatherList, Operation, type Overlapped } from '../contract/port.js';
import { DatagramState, inFamily, sendAction } from '../port/datagrams.js';
import { pieceOf } from '../port/receive-buffers.js';
import { hostOf } from './address.js';
import { canceled, closed, fromNode, notConnected } from './errors.js';
import { type Host, PortableHandle } from './handle.js';

/** Datagrams that are kept. */
const MOST_KEPT = 256;
/** What the other backends need of a receive buffer for themselves. */
const OVERHEAD = 48;

interface Datagram {
  readonly bytes: Buffer;
  readonly from: Endpoint;
}

export class PortableDatagrams extends PortableHandle {
  readonly #raw: Socket;
  /** For the IPv4 peers, where the system gives none to `#raw`. */
  readonly #ipv4: Socket | null;
  readonly #state: DatagramState;
  readonly #local: Endpoint;
  readonly #remote: Endpoint | null;
  #receiving: Overlapped | null = null;
  /** Datagrams that no packet has taken yet, oldest first. */
  readonly #kept: Datagram[] = [];
  #abandoned = false;
  #rawClosed = false;
  /** Sockets of node:dgram that have not closed. */
  #open = 0;

  /** @param opened bound and, if there is a `remote`, connected. */
  constructor(host: Host, { raw, ipv4 }: Opened, family: 4 | 6, remote: Endpoint | null) {
    super(host);
    this.#raw = raw;
    this.#ipv4 = ipv4;
    this.#state = new DatagramState(family, remote !== null);
    const { address, port } = raw.address();
    this.#local = told(address, port);
    this.#remote = remote;
    host.opened(this);
    this.#hear(raw, '');
    if (ipv4 !== null) this.#hear(ipv4, MAPPED);
  }

  receive(event: Overlapped): void {
    assert(this.#receiving === null, 'a receive stream is already in flight');
    this.host.start(this, event);
    this.#receiving = event;
    this.deliver();
  }

  /** Makes packets of what has come, as far as there are receive buffers. */
  deliver(): void {
    const event = this.#receiving;
    const { host } = this;
    const { buffers } = host;
    while (event !== null && this.#kept.length > 0) {
      const slot = host.takeSlot(this);
      if (slot === -1) return;
      const { bytes, from } = this.#kept.shift()!;
      const length = bytes.copy(buffers.slot(slot), 0, 0, buffers.size - OVERHEAD);
      const packet = host.queue(Operation.Receive, this, event, length < bytes.length ? truncated : null, false);
      packet.bytes = length;
      packet.buffer = slot;
      packet.data = buffers.take(slot, length);
      packet.from = from;
    }
  }

  send(event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    this.#state.check(to);
    this.host.start(this, event);
    const target = to && inFamily(to, this.#state.family);
    if (to !== null && target === null) {
      const reason = 'an IPv4 socket reaches no IPv6 address';
      this.#sent(event, new IocpError(sendAction(to), reason, 'EAFNOSUPPORT', 'send'), 0);
      return;
    }
    const name = nameOf(event);
    this.#state.sends.set(name, event);
    const bytes: Uint8Array[] = [];
    for (let i = 0; i < countOf(pieces); i++) bytes.push(pieceOf(this.host.buffers, pieces, i));
    const length = totalOf(pieces);
    const done = (cause: Error | null) => {
      // The port may have gone meanwhile.
      if (this.#state.remove(name) === undefined) return;
      this.#sent(event, cause && fromNode(sendAction(to), 'send', cause), length);
    };
    try {
      if (target === null) this.#raw.send(bytes, done);
      else if (this.#ipv4 !== null && target.address.startsWith(MAPPED))
        this.#ipv4.send(bytes, target.port, target.address.slice(MAPPED.length), done);
      else this.#raw.send(bytes, target.port, hostOf(target), done);
    } catch (cause) {
      // Port 0 is a bug to node:dgram. Here any peer may have claimed to have it.
      done(cause as Error);
    }
  }

  /** A send cannot be recalled, so it keeps its result. */
  override cancel(event: Overlapped): void {
    if (event !== this.#receiving) return;
    this.host.forget(this);
    this.#endReceive(canceled('receive', 'recvmsg'));
  }

  override close(): void {
    this.closing = true;
    this.host.forget(this);
    this.host.start(this, null);
    this.#closeRaw();
  }

  override abandon(): void {
    this.#abandoned = true;
    this.#receiving = null;
    this.#state.sends.clear();
    this.#closeRaw();
  }

  override localEndpoint(): Endpoint {
    if (this.closing) throw closed('get the local endpoint', 'socket', 'getsockname');
    return this.#local;
  }

  override remoteEndpoint(): Endpoint {
    if (this.closing) throw closed('get the remote endpoint', 'socket', 'getpeername');
    if (this.#remote === null) throw notConnected('get the remote endpoint', 'getpeername');
    return this.#remote;
  }

  override setNoDelay(): void {
    throw new IocpError('set TCP_NODELAY', 'this is a datagram socket', 'ENOTSUP', 'setsockopt');
  }

  override setKeepAlive(): void {
    throw new IocpError('set SO_KEEPALIVE', 'this is a datagram socket', 'ENOTSUP', 'setsockopt');
  }

  /** @param prefix of addresses of the socket's peers. */
  #hear(raw: Socket, prefix: string): void {
    this.#open++;
    raw.unref();
    raw.on('message', (bytes, { address, port }) => {
      if (this.closing || this.#kept.length === MOST_KEPT) return;
      this.#kept.push({ bytes, from: told(prefix + address, port) });
      this.deliver();
    });
    raw.on('error', (cause) => {
      const error = fromNode('receive', 'recvmsg', cause);
      // No peer can end the stream of a socket that is not connected.
      if (this.#remote === null && error.code === 'ECONNREFUSED') return;
      if (this.#receiving !== null) this.#endReceive(error);
    });
    raw.on('close', () => {
      if (--this.#open === 0) this.#onClose();
    });
  }

  #closeRaw(): void {
    if (!this.#rawClosed) closeAll(this.#raw, this.#ipv4);
    this.#rawClosed = true;
  }

  #endReceive(error: IocpError): void {
    const event = this.#receiving;
    this.#receiving = null;
    this.host.queue(Operation.Receive, this, event, error);
  }

  #sent(event: Overlapped, error: IocpError | null, bytes: number): void {
    this.host.queue(Operation.Send, this, event, error).bytes = error ? 0 : bytes;
  }

  /** The callbacks of all sends have been called. */
  #onClose(): void {
    if (!this.#abandoned) {
      if (this.#receiving !== null) this.#endReceive(canceled('receive', 'recvmsg'));
      this.host.queue(Operation.Close, this, null, null);
    }
    this.host.gone(this);
  }
}

/** One for all, as any peer may cause it at any time. */
const truncated = new IocpError('receive all of a datagram', 'message too long', 'EMSGSIZE', 'recvmsg');

/** What serves one datagram socket. */
export interface Opened {
  readonly raw: Socket;
  /** A second one, for IPv4 alone, on the same port. */
  readonly ipv4: Socket | null;
}

const MAPPED = '::ffff:';
const ANY4 = '0.0.0.0';

/** Opens a datagram socket and, if there is a `remote`, connects it. Rejects with an IocpError. */
export async function openDatagrams(local: Endpoint, options: DatagramOptions): Promise<Opened> {
  const raw = await openSocket(local, options);
  if (local.address !== '::' || options.ipv6Only || options.remote || !keepsIPv4Out()) return { raw, ipv4: null };
  try {
    const ipv4 = await openSocket({ address: ANY4, family: 4, port: raw.address().port }, options);
    return { raw, ipv4 };
  } catch (error) {
    raw.close();
    throw error;
  }
}

/** For a socket that is not to be used. */
export function closeAll(...sockets: (Socket | null)[]): void {
  for (const socket of sockets) socket?.close();
}

/** Linux: net.ipv6.bindv6only. It is for sockets that do not say whether they want IPv4 peers, as those of node:dgram. */
function keepsIPv4Out(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv6/bindv6only', 'latin1').trim() === '1';
  } catch {
    return false;
  }
}

async function openSocket(local: Endpoint, options: DatagramOptions): Promise<Socket> {
  const { family } = local;
  const { remote, ipv6Only = false, broadcast = false } = options;
  const bindAction = `bind to ${endpointText(local)}`;
  const raw = createSocket({
    type: `udp${family}`,
    ipv6Only,
    // There are addresses only, so nothing needs to be looked up, nor to wait for that.
    lookup: (address, _options, done) => done(null, address, family),
  });
  try {
    await step(raw, bindAction, 'bind', (done) =>
      raw.bind({ address: hostOf(local), port: local.port, exclusive: true }, done),
    );
    if (broadcast) raw.setBroadcast(true);
    if (remote) {
      const action = `connect to ${endpointText(remote)}`;
      const target = inFamily(remote, family);
      const reason = 'an IPv4 socket reaches no IPv6 address';
      if (target === null) throw new IocpError(action, reason, 'EAFNOSUPPORT', 'connect');
      await step(raw, action, 'connect', (done) => raw.connect(target.port, hostOf(target), done));
    }
    return raw;
  } catch (error) {
    raw.close();
    throw error;
  }
}

function step(raw: Socket, action: string, syscall: string, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) => reject(fromNode(action, syscall, cause));
    raw.once('error', failed);
    try {
      start(() => {
        raw.off('error', failed);
        resolve();
      });
    } catch (cause) {
      failed(cause as Error);
    }
  });
}

/** Where an event lies tells it from all others. */
function nameOf({ block, offset }: Overlapped): number {
  return block.address + offset;
}
