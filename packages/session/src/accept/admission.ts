// Admission: makes accepted connections sessions of this thread, or refuses them. It enforces the limit for each address and the
// core's own limit, and reads the PROXY header first if clients come through proxies.

import { type Endpoint, IocpError, type PortSocket } from '@overlapped/iocp-native';
import type { Stoppable } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { endpointOf, isListed, plainAddress } from '../endpoints.js';
import { report, reportTls, warn } from '../failures.js';
import { asError } from '../outcomes.js';
import { reset } from '../reset.js';
import { EVERYONE } from '../session/groups.js';
import { Origin } from '../session/origin.js';
import type { Session } from '../session/session.js';
import { type SessionOptions, SessionSet } from '../session/session-set.js';
import { admit, dismiss, refuse, Stat } from '../stats.js';
import { HandshakeTurns } from '../tls/handshake-turns.js';
import type { ServerTls } from '../tls/server-tls.js';
import { TlsHandshake } from '../tls/tls-handshake.js';
import { type AcceptLimits, isRefused } from './accept-filter.js';
import { HEADER_TIMEOUT, ProxyHandshake, type ProxyInfo } from './proxy-handshake.js';

export class Admission implements Stoppable {
  readonly #core: Core;
  readonly #limits: AcceptLimits;
  readonly #set: SessionSet;
  readonly #onEnd: () => void;
  /** Connections whose PROXY header, or TLS handshake, is not complete. */
  readonly #handshakes = new Set<ProxyHandshake | TlsHandshake>();
  readonly #tls: ServerTls | null;
  readonly #turns: HandshakeTurns | null;
  /** For stop(): called when the last handshake is over. */
  #handshakesOver: (() => void) | undefined;
  /** Number of sessions of each address, and the address of each session. Empty if there is no limit. */
  readonly #counts = new Map<string, number>();
  readonly #addresses = new Map<Session, string>();

  /**
   * @param tls the context that new connections get; null without TLS
   * @param onEnd is called once for each connection that was taken, when it is over
   */
  constructor(core: Core, options: SessionOptions & AcceptLimits, tls: ServerTls | null, onEnd: () => void) {
    this.#core = core;
    this.#limits = options;
    this.#onEnd = onEnd;
    this.#tls = tls;
    this.#turns = tls === null ? null : new HandshakeTurns(core.timers);
    this.#set = new SessionSet(core, options, EVERYONE, (session) => {
      this.#countOut(session);
      onEnd();
    });
  }

  get sessions(): ReadonlySet<Session> {
    return this.#set.sessions;
  }

  /** Connections that were taken and are not over: sessions, and handshakes. */
  get count(): number {
    return this.#set.sessions.size + this.#handshakes.size;
  }

  /** Takes a connection. False if it is refused: then it is reset and counted. */
  take(socket: PortSocket): boolean {
    const { proxy, maxSessionsPerAddress } = this.#limits;
    const needsAddress = proxy !== undefined || maxSessionsPerAddress !== undefined;
    const address = needsAddress ? endpointOf(socket, 'remoteEndpoint')?.address : undefined;
    if (proxy) {
      if (address === undefined || !isListed(proxy.trusted, address)) return this.#refuse(socket, Stat.refusedProxy);
      if (!admit(this.#core)) return reset(this.#core, socket);
      this.#handshakes.add(new ProxyHandshake(this.#core, socket, proxy.timeout ?? HEADER_TIMEOUT, this));
      return true;
    }
    const plain = address && plainAddress(address);
    if (this.#isFull(plain)) return this.#refuse(socket, Stat.refusedAddress);
    if (!admit(this.#core)) return reset(this.#core, socket);
    if (this.#tls === null) this.#open(socket, plain, null);
    else this.#secure(socket, plain, null, null);
    return true;
  }

  /** For a handshake. Lists and limits do not apply to a proxy that connects for itself, as for a health check. */
  onHeader(handshake: ProxyHandshake, proxied: ProxyInfo): void {
    const { socket } = handshake;
    const { source } = proxied;
    const address = source === null ? undefined : plainAddress(source.address);
    const denied = address !== undefined && isRefused(this.#limits, address);
    if (denied || this.#isFull(address)) {
      this.#refuse(socket, denied ? Stat.refusedDenied : Stat.refusedAddress);
      this.#dismiss();
    } else if (this.#tls === null) {
      this.#open(socket, address, new Origin(source, proxied.rest, null, null));
    } else {
      this.#secure(socket, address, source, proxied.rest);
    }
    this.#over(handshake);
  }

  /** For a handshake. */
  onFailed(handshake: ProxyHandshake): void {
    refuse(this.#core, Stat.refusedProxy);
    this.#dismiss();
    this.#over(handshake);
  }

  /** For a handshake of TLS that is done. */
  #onSecured(handshake: TlsHandshake, address: string | undefined, client: Endpoint | null): void {
    const { socket } = handshake;
    const origin = handshake.origin(client);
    if (this.#isFull(address)) {
      origin.abandon(this.#core);
      this.#refuse(socket, Stat.refusedAddress);
      this.#dismiss();
    } else {
      this.#open(socket, address, origin);
    }
    this.#over(handshake);
  }

  /** Ends the sessions within `grace` milliseconds, and closes connections that are no sessions yet at once. */
  async stop(grace: number): Promise<void> {
    if (this.#handshakes.size > 0) {
      await new Promise<void>((resolve) => {
        this.#handshakesOver = resolve;
        for (const handshake of this.#handshakes) handshake.close(listenerStopped());
      });
    }
    await this.#set.stop(grace);
    this.#tls?.free();
  }

  #secure(socket: PortSocket, address: string | undefined, client: Endpoint | null, rest: Buffer[] | null): void {
    const { context } = this.#tls!;
    const owner = {
      onSecured: () => this.#onSecured(handshake, address, client),
      onFailed: (error: Error) => {
        refuse(this.#core, Stat.refusedTls);
        reportTls(this.#core, error);
        this.#dismiss();
        this.#over(handshake);
      },
    };
    const handshake = new TlsHandshake(this.#core, socket, context, owner, this.#turns);
    this.#handshakes.add(handshake);
    handshake.start(rest);
  }

  #open(socket: PortSocket, address: string | undefined, origin: Origin | null): void {
    let session: Session;
    try {
      session = this.#set.open(socket, origin);
    } catch (error) {
      // The session's constructor has thrown. That must not affect other connections.
      report(this.#core, null, asError(error));
      warn(this.#core, 'A connection was reset, as the constructor of its session failed', error);
      this.#onEnd();
      return;
    }
    if (this.#limits.maxSessionsPerAddress === undefined || address === undefined) return;
    this.#addresses.set(session, address);
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
  }

  #isFull(address: string | undefined): boolean {
    const { maxSessionsPerAddress: most } = this.#limits;
    return most !== undefined && address !== undefined && (this.#counts.get(address) ?? 0) >= most;
  }

  #countOut(session: Session): void {
    const address = this.#addresses.get(session);
    if (address === undefined) return;
    this.#addresses.delete(session);
    const count = this.#counts.get(address)! - 1;
    if (count === 0) this.#counts.delete(address);
    else this.#counts.set(address, count);
  }

  #refuse(socket: PortSocket, reason: number): false {
    refuse(this.#core, reason);
    return reset(this.#core, socket);
  }

  /** Undoes the core's admission of a connection that got no session. */
  #dismiss(): void {
    dismiss(this.#core);
    this.#onEnd();
  }

  #over(handshake: ProxyHandshake | TlsHandshake): void {
    this.#handshakes.delete(handshake);
    if (this.#handshakes.size === 0) this.#handshakesOver?.();
  }
}

function listenerStopped(): IocpError {
  return new IocpError('accept the connection', 'the listener has stopped', 'ECANCELED', 'accept');
}
