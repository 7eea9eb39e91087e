// How accepted connections become sessions on this thread, or are refused: the limit for each address, the core's own, and
// the PROXY header, which is read first where clients come through proxies.

import type { PortSocket } from '@overlapped/iocp-native';
import { type IocpCore, Stat, type Stoppable } from '@overlapped/net-core';
import { endpointOf, isListed, plainAddress } from '../endpoints.js';
import { report, warn } from '../failures.js';
import { asError } from '../outcomes.js';
import { reset } from '../reset.js';
import { EVERYONE } from '../session/groups.js';
import type { Session } from '../session/session.js';
import { type SessionOptions, SessionSet } from '../session/session-set.js';
import { type AcceptLimits, isRefused } from './accept-filter.js';
import { type Introduction, Preface } from './proxy-handshake.js';

/** Milliseconds. The protocol's authors want room for a segment that is lost and sent again: 3 seconds at least. */
const HEADER_TIMEOUT = 5000;

export class Admission implements Stoppable {
  readonly #core: IocpCore;
  readonly #limits: AcceptLimits;
  readonly #set: SessionSet;
  readonly #onEnd: () => void;
  readonly #prefaces = new Set<Preface>();
  #prefacesOver: (() => void) | undefined;
  /** How many sessions each address has, and the address of each session. Empty when there is no limit. */
  readonly #counts = new Map<string, number>();
  readonly #addresses = new Map<Session, string>();

  /**
   * Throws a RangeError for a limit that makes no sense.
   * @param onEnd is called once for each connection that was taken, when it is over.
   */
  constructor(core: IocpCore, options: SessionOptions & AcceptLimits, onEnd: () => void) {
    const { maxSessionsPerAddress: most = 1, proxy: { timeout = 1 } = {} } = options;
    if (!(most >= 1)) throw new RangeError(`maxSessionsPerAddress must be at least 1, not ${most}`);
    if (!(timeout > 0)) throw new RangeError(`the timeout of the PROXY header must be above 0, not ${timeout}`);
    this.#core = core;
    this.#limits = options;
    this.#onEnd = onEnd;
    this.#set = new SessionSet(core, options, EVERYONE, (session) => {
      this.#countOut(session);
      onEnd();
    });
  }

  get sessions(): ReadonlySet<Session> {
    return this.#set.sessions;
  }

  /** Connections that were taken and are not over. */
  get count(): number {
    return this.#set.sessions.size + this.#prefaces.size;
  }

  /** Takes a connection over. False when it is refused: it is reset, and counted. */
  take(socket: PortSocket): boolean {
    const { proxy, maxSessionsPerAddress } = this.#limits;
    const asks = proxy !== undefined || maxSessionsPerAddress !== undefined;
    const address = asks ? endpointOf(socket, 'remoteEndpoint')?.address : undefined;
    if (proxy) {
      if (address === undefined || !isListed(proxy.trusted, address)) return this.#refuse(socket, Stat.refusedProxy);
      if (!this.#core.places.admit()) return reset(this.#core, socket);
      this.#prefaces.add(new Preface(this.#core, socket, proxy.timeout ?? HEADER_TIMEOUT, this));
      return true;
    }
    const plain = address && plainAddress(address);
    if (this.#isFull(plain)) return this.#refuse(socket, Stat.refusedAddress);
    if (!this.#core.places.admit()) return reset(this.#core, socket);
    this.#open(socket, plain, null);
    return true;
  }

  /** For a preface. Lists and limits are not for proxies that speak for themselves, as for a health check. */
  ready(preface: Preface, introduction: Introduction): void {
    const { socket } = preface;
    const { source } = introduction;
    const address = source === null ? undefined : plainAddress(source.address);
    const denied = address !== undefined && isRefused(this.#limits, address);
    if (denied || this.#isFull(address)) {
      this.#refuse(socket, denied ? Stat.refusedDenied : Stat.refusedAddress);
      this.#turnedAway();
    } else {
      this.#open(socket, address, introduction);
    }
    this.#over(preface);
  }

  /** For a preface. */
  failed(preface: Preface): void {
    this.#core.places.refuse(Stat.refusedProxy);
    this.#turnedAway();
    this.#over(preface);
  }

  /** Ends the sessions within `grace` milliseconds, and at once what has none yet. */
  async stop(grace: number): Promise<void> {
    if (this.#prefaces.size > 0) {
      await new Promise<void>((resolve) => {
        this.#prefacesOver = resolve;
        for (const preface of this.#prefaces) preface.close();
      });
    }
    await this.#set.stop(grace);
  }

  #open(socket: PortSocket, address: string | undefined, introduction: Introduction | null): void {
    let session: Session;
    try {
      session = this.#set.open(socket, introduction);
    } catch (error) {
      // Its constructor has thrown: nobody else is to suffer for that.
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
    this.#core.places.refuse(reason);
    return reset(this.#core, socket);
  }

  /** The core had admitted it. */
  #turnedAway(): void {
    this.#core.places.dismiss();
    this.#onEnd();
  }

  #over(preface: Preface): void {
    this.#prefaces.delete(preface);
    if (this.#prefaces.size === 0) this.#prefacesOver?.();
  }
}
