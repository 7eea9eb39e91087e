// A datagram socket over a dgram.Socket, which cannot be paused: a datagram that comes while no stream runs or no buffer is free is
// kept, up to a limit.

import { createSocket, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { endpointText, told } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import { countOf, totalOf } from '../contract/gather-list.js';
import type { SocketOptionName, SocketOptionValue } from '../contract/options.js';
import { type DatagramOptions, type Endpoint, type GatherList, Operation, type Overlapped } from '../contract/port.js';
import { DatagramState, inFamily, sendAction } from '../port/datagrams.js';
import { LoopSocket } from '../port/loop-socket.js';
import { pieceOf } from '../port/receive-buffers.js';
import { Kind } from '../port/socket.js';
import { hostOf } from './address.js';
import type { PortableDriver } from './driver.js';
import { canceled, fromNode, notConnected } from './errors.js';
import { setDatagramOption, setDatagramOptions } from './socket-options.js';

/** Datagrams that are kept. */
const MOST_KEPT = 256;
/** The bytes of a receive buffer that the other backends need for themselves. */
const OVERHEAD = 48;

interface Datagram {
  readonly bytes: Buffer;
  readonly from: Endpoint;
}

export class PortableDatagrams extends LoopSocket<PortableDriver> {
  readonly #raw: Socket;
  /** For the IPv4 peers, where the system gives none to `#raw`. */
  readonly #ipv4: Socket | null;
  readonly #local: Endpoint;
  readonly #remote: Endpoint | null;
  /** The receive stream runs: its last packet is not queued. */
  #isReceiving = false;
  /** Datagrams that no packet has taken yet, oldest first. */
  readonly #kept: Datagram[] = [];
  /** Sockets of node:dgram that have not emitted 'close'. */
  #open = 0;

  /** @param opened bound and, if there is a `remote`, connected. */
  constructor(driver: PortableDriver, { raw, ipv4 }: Opened, family: 4 | 6, remote: Endpoint | null) {
    super(driver, Kind.Datagrams, new DatagramState(family, remote !== null));
    this.#raw = raw;
    this.#ipv4 = ipv4;
    const { address, port } = raw.address();
    this.#local = told(address, port);
    this.#remote = remote;
    this.#hear(raw, '');
    if (ipv4 !== null) this.#hear(ipv4, MAPPED);
  }

  override get gone(): boolean {
    return this.#open === 0;
  }

  override receive(): void {
    this.#isReceiving = true;
    this.deliver();
  }

  /** Makes packets of the datagrams that have come, as far as there are receive buffers. */
  override deliver(): void {
    const { port } = this;
    const { buffers } = port;
    while (this.#isReceiving && this.#kept.length > 0) {
      const buffer = this.driver.takeBuffer(this);
      if (buffer === -1) return;
      const { bytes, from } = this.#kept.shift()!;
      const length = bytes.copy(buffers.slot(buffer), 0, 0, buffers.size - OVERHEAD);
      const error = length < bytes.length ? truncated : null;
      const packet = port.queuePacket(Operation.Receive, this, this.receiving, error, null);
      packet.bytes = length;
      packet.buffer = buffer;
      packet.data = buffers.take(buffer, length);
      packet.from = from;
    }
  }

  override sendTo(event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    const { family, sends } = this.datagrams!;
    const target = to && inFamily(to, family);
    if (to !== null && target === null) {
      const reason = 'an IPv4 socket reaches no IPv6 address';
      this.#sent(event, new IocpError(sendAction(to), reason, 'EAFNOSUPPORT', 'send'), 0);
      return;
    }
    const name = nameOf(event);
    sends.add(name, event);
    const bytes: Uint8Array[] = [];
    for (let i = 0; i < countOf(pieces); i++) bytes.push(pieceOf(this.port.buffers, pieces, i));
    const length = totalOf(pieces);
    const done = (cause: Error | null) => {
      // abandon() may have ended the send.
      if (sends.remove(name) === undefined) return;
      this.#sent(event, cause && fromNode(sendAction(to), 'send', cause), length);
    };
    try {
      if (target === null) this.#raw.send(bytes, done);
      else if (this.#ipv4 !== null && target.address.startsWith(MAPPED))
        this.#ipv4.send(bytes, target.port, target.address.slice(MAPPED.length), done);
      else this.#raw.send(bytes, target.port, hostOf(target), done);
    } catch (cause) {
      // Port 0 is a bug to node:dgram. Here it may be the port that a datagram claimed to come from.
      done(cause as Error);
    }
  }

  /** A send cannot be canceled, so it keeps its result. */
  override cancel(event: Overlapped): void {
    if (event !== this.receiving || !this.#isReceiving) return;
    this.driver.forget(this);
    this.#endReceive(canceled('receive', 'recvmsg'));
  }

  /** The callbacks of all sends are called before 'close'. */
  override close(): void {
    closeAll(this.#raw, this.#ipv4);
  }

  override abandon(): void {
    if (this.#isReceiving) this.#endReceive(canceled('receive', 'recvmsg'));
    const { sends } = this.datagrams!;
    for (const event of sends.values()) {
      sends.remove(nameOf(event));
      this.#sent(event, canceled('send', 'send'), 0);
    }
  }

  override localEndpoint(): Endpoint {
    this.assertOpen('get the local endpoint', 'getsockname');
    return this.#local;
  }

  override remoteEndpoint(): Endpoint {
    this.assertOpen('get the remote endpoint', 'getpeername');
    if (this.#remote === null) throw notConnected('get the remote endpoint', 'getpeername');
    return this.#remote;
  }

  protected override applyOption(name: SocketOptionName, value: SocketOptionValue, action: string): void {
    for (const raw of [this.#raw, this.#ipv4]) if (raw !== null) setDatagramOption(raw, name, value, action);
  }

  /** @param prefix of addresses of the socket's peers. */
  #hear(raw: Socket, prefix: string): void {
    this.#open++;
    this.driver.opened();
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
      if (this.#isReceiving) this.#endReceive(error);
    });
    raw.on('close', () => {
      if (--this.#open === 0) this.#onClose();
      this.driver.released();
    });
  }

  #endReceive(error: IocpError): void {
    this.#isReceiving = false;
    this.port.queue(Operation.Receive, this, this.receiving, error);
  }

  #sent(event: Overlapped, error: IocpError | null, bytes: number): void {
    this.port.queue(Operation.Send, this, event, error).bytes = error ? 0 : bytes;
  }

  #onClose(): void {
    if (this.#isReceiving) this.#endReceive(canceled('receive', 'recvmsg'));
    this.port.proceed(this);
  }
}

/** One for all, as any peer may cause it at any time. */
const truncated = new IocpError('receive all of a datagram', 'message too long', 'EMSGSIZE', 'recvmsg');

/** The dgram.Socket and the state of one datagram socket. */
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
  const { remote, ipv6Only = false } = options;
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
    setDatagramOptions(raw, options, bindAction);
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
