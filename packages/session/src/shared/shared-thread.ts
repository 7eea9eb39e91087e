// SharedThread: a thread of the shared port. It takes one packet after the other, of any session, and runs that session's handlers.
//
// A turn begins with a compare-and-swap of the record's Turn, and ends when nothing is due any more: then the socket is armed again,
// and from then on any thread may take the next packet. An async handler keeps the turn until its promise settles.

import { type Endpoint, IocpError, isIocpError } from '@overlapped/iocp-native';
import {
  debugging,
  LISTENER,
  Ready,
  type SharedSockets,
  type SocketPort,
  WOULD_BLOCK,
} from '@overlapped/iocp-native/internal';
import { ObjectPool } from '@overlapped/object-pool';
import { AcceptFilter, isRefused, type Occupancy } from '../accept/accept-filter.js';
import { type ProxyHeader, readProxyHeader } from '../accept/proxy-header.js';
import { isListed, plainAddress } from '../endpoints.js';
import { report, warn } from '../failures.js';
import { type Framer, NOTHING, truncatedFrame } from '../framing/framer.js';
import { asError, isThenable } from '../outcomes.js';
import { tooSlow } from '../session/queue-limit.js';
import { lingeredOut, timedOut } from '../session/timeout-rules.js';
import { refuse, Stat } from '../stats.js';
import { ClientAddresses } from './client-addresses.js';
import { FrameCutter } from './frame-cutter.js';
import { HOST, SharedHost } from './host.js';
import type { SharedKind } from './load-kind.js';
import { monotonic } from './monotonic.js';
import { Held, type HostedService } from './protocol.js';
import type { SharedPacketSession } from './shared-packet-session.js';
import {
  kAttach,
  kBind,
  kContext,
  kError,
  kFramer,
  kSlot,
  kUnbind,
  SharedSession,
  type TurnHost,
} from './shared-session.js';
import { StateLayout, type StateSchema, stateMemory } from './state/layout.js';
import type { StateMemory } from './state/types.js';
import { CROWDED, Due, Field, Flag, Reason, ServiceField, type SharedTable } from './table.js';

/** Milliseconds that a thread waits for the lock of a listening socket. */
const LOCK_PATIENCE = 1000;
/** Milliseconds after which a busy thread lets its event loop turn. */
const BUSY = 10;
/** Milliseconds without a packet until an idle thread lets its event loop turn, once, before it sleeps. */
const IDLE = 1;
/** A turn has a view; a thread has one turn, and one for each promise that has not settled. */
const MOST_VIEWS = 2 ** 20;

const { Read, Close, Open, Drain, Message, End } = Due;

// A test may put another clock in its place later, which would stop all sessions. The globals of Node are getters.
const { setImmediate, performance } = globalThis;
const { nextTick } = process;
const resolved = Promise.resolve();

/** The statistics of clients that are refused after their PROXY header, by reason. */
const REFUSALS: Record<number, number> = {
  [Reason.Denied]: Stat.refusedDenied,
  [Reason.Crowded]: Stat.refusedAddress,
};

/** Of rate limits, which all threads share. */
const CLOCK = {
  get now(): number {
    return monotonic();
  },
};

/** The class and the views for the sessions of one listener, in this thread. */
interface Service {
  readonly serial: number;
  readonly kind: SharedKind;
  readonly layout: StateLayout<StateSchema>;
  /** Where its sessions' states lie, once one is needed. */
  memory: StateMemory | null;
  acquire(): SharedSession;
  release(view: SharedSession): void;
}

export class SharedThread extends SharedHost implements TurnHost {
  readonly #services = new Map<number, Service>();
  readonly #filters = new WeakMap<HostedService, AcceptFilter>();
  readonly #clients = new WeakMap<SharedArrayBuffer, ClientAddresses>();
  /** Handlers whose promises have not settled. */
  #pending = 0;
  /** It loads a module. Meanwhile it takes no packet: a handler that blocks would hold up the load. */
  #loading = false;
  /** The port's counts that the statistics have. */
  #wakeUps = 0;
  #losses = 0;
  /** The event loop has turned since the last packet. */
  #turned = true;
  #turnAt = 0;
  /** Words of Held. */
  readonly #held: Int32Array;
  readonly #load: (service: number) => Promise<unknown>;
  readonly #serviceOf: (service: number) => HostedService;
  readonly #serve = () => {
    try {
      this.#next();
    } catch (error) {
      // A port that fails ends the thread; in a promise it would be a rejection, which a program may have a handler for.
      nextTick(() => {
        throw error;
      });
    }
  };
  // queueMicrotask() would make an AsyncResource for each packet.
  readonly #requeue = () => void resolved.then(this.#serve);
  /** The view of the last received bytes: messages of equal length get the same object. */
  #data: Buffer;
  readonly #cutter: FrameCutter;

  /**
   * @param load has the thread host a service that has begun since it was started
   * @param serviceOf gives the options and the states of a service
   */
  constructor(
    table: SharedTable,
    port: SocketPort,
    sockets: SharedSockets,
    held: Int32Array,
    load: (service: number) => Promise<unknown>,
    serviceOf: (service: number) => HostedService,
  ) {
    super(table, port, sockets);
    this.#load = load;
    this.#serviceOf = serviceOf;
    this.#held = held;
    this.#data = sockets.received;
    this.#cutter = new FrameCutter(table.frames, table.words);
  }

  /** From now on this thread serves the sessions of a service. Gives the bytes of a session's state. */
  host(service: number, serial: number, kind: SharedKind): number {
    const known = this.#services.get(service);
    if (known?.serial === serial) return known.layout.size;
    const layout = new StateLayout(kind.state ?? {});
    const hosted: Service = {
      serial,
      kind,
      layout,
      memory: null,
      acquire: () => pool.acquire()!,
      release: (view) => pool.release(view),
    };
    const create = () => {
      const view = new kind();
      view[kAttach](layout.createView(this.#memoryOf(service, hosted)), layout.size);
      return view;
    };
    const pool = new ObjectPool({ create, capacity: MOST_VIEWS });
    // In debug mode a view serves one turn, so that its use after that is noticed.
    if (debugging) Object.assign(hosted, { acquire: create, release() {} });
    this.#services.set(service, hosted);
    return layout.size;
  }

  /** Serves until the port is closed. */
  start(): void {
    setImmediate(this.#serve);
  }

  // TurnHost.

  destroy(view: SharedSession, error: Error | undefined): void {
    view[kError] ??= error;
    this.close(view[kSlot], view.id, Reason.Destroyed);
  }

  endpoint(slot: number, which: 'remote' | 'local'): Endpoint | undefined {
    const at = this.table.at(slot);
    const fd = this.table.words[at + Field.Socket]! - 1;
    if (fd < 0) return undefined;
    const client = which === 'remote' ? this.#clientsOf(this.table.words[at + Field.Service]!)?.get(slot) : null;
    if (client) return client;
    try {
      return this.sockets.endpoint(fd, which);
    } catch (error) {
      if (isIocpError(error)) return undefined;
      throw error;
    }
  }

  #memoryOf(service: number, hosted: Service): StateMemory {
    hosted.memory ??= stateMemory(this.#serviceOf(service).states!);
    return hosted.memory;
  }

  // The loop.

  /** Takes one packet. Between two packets all ticks and microtasks run; now and then the event loop turns. */
  #next(): void {
    this.#count();
    if (!this.port.wait(this.#pending > 0 ? 0 : this.#turned ? -1 : IDLE)) {
      if (this.port.closed) process.exit();
      if (this.#pending > 0 && this.#turned) this.port.waitForLoop();
      this.#turnLoop();
      return;
    }
    if (this.#turned) this.#turnAt = performance.now() + BUSY;
    this.#turned = false;
    this.statsBlock.values[Stat.packets]!++;
    this.dispatch();
    if (this.#loading) return;
    if (this.#pending > 0 || performance.now() >= this.#turnAt) this.#turnLoop();
    else nextTick(this.#requeue);
  }

  /** Takes the port's counts over into the statistics. */
  #count(): void {
    const { values } = this.statsBlock;
    const { wakeUps = 0, losses = 0 } = this.port;
    values[Stat.wakeUps]! += wakeUps - this.#wakeUps;
    values[Stat.blocked]! += losses - this.#losses;
    this.#wakeUps = wakeUps;
    this.#losses = losses;
  }

  /** Goes on after a turn of the event loop, or at once if that has nothing to do. */
  #turnLoop(): void {
    this.#turned = true;
    if (this.#pending > 0 || this.port.loopDue()) setImmediate(this.#serve);
    // The microtasks of this packet run before the next tick, so all of them are done when the next packet is taken.
    else nextTick(this.#requeue);
  }

  /** Handles the packet that the port has taken. */
  dispatch(): void {
    const { low, high, ready } = this.port;
    if (low === LISTENER) {
      this.#accept(high);
      return;
    }
    if (low === HOST) {
      this.#whenLoaded(high, () => {});
      return;
    }
    const { table } = this;
    if (table.generation(low) !== high) return;
    const at = table.at(low);
    if ((ready & Ready.Read) !== 0) Atomics.or(table.words, at + Field.Pending, Read);
    if ((ready & Ready.Write) !== 0) this.flush(low);
    else if (ready !== 0) this.port.done();
    // The last packet of a session that is over frees its record.
    // Behind done(): the thread that has set Over asks whether the port is idle.
    const over = (Atomics.load(table.words, at + Field.Flags) & Flag.Over) !== 0;
    if (over || table.words[at + Field.Pending] !== 0) this.#enter(low, high);
    // The socket was writable, and is armed for nothing now.
    else if (ready !== 0) this.#rearm(low, high);
  }

  #accept(service: number): void {
    const { table } = this;
    const { words } = table;
    const record = table.serviceAt(service);
    const lock = table.serviceLock(service);
    // Its owner closes the listening socket inside this lock: the descriptor's number may serve anew after that. A holder that has
    // ended loses the lock to its owner.
    while (!lock.lock(LOCK_PATIENCE));
    const listener = words[record + ServiceField.Listener]! - 1;
    if (listener < 0) {
      // It has been closed since the packet was taken.
      this.port.accept(listener, this.#held, {});
      lock.unlock();
      return;
    }
    const filter = this.#filterOf(service);
    if (filter.waits && filter.available(this.#occupancy(record)) < 1) {
      // The core's own thread arms it when the limits may allow another one.
      Atomics.store(words, record + ServiceField.Waits, 1);
      this.port.hold();
      lock.unlock();
      return;
    }
    const fd = this.port.accept(listener, this.#held, this.#serviceOf(service).options);
    // Another thread may take the next connection at once.
    this.armListener(service);
    const slot = fd < 0 ? -1 : this.#admit(service, record, fd, filter);
    lock.unlock();
    if (fd < 0) {
      this.#held[Held.Accepted] = -1;
      if (fd !== -WOULD_BLOCK) Atomics.add(words, record + ServiceField.Failed, 1);
      return;
    }
    if (slot < 0) {
      Atomics.add(words, record + ServiceField.Refused, 1);
      refuse(this, -slot);
      this.#close(fd, true);
      return;
    }
    const at = table.at(slot);
    words[at + Field.Socket] = fd + 1;
    this.#held[Held.Accepted] = -1;
    Atomics.add(words, record + ServiceField.Accepted, 1);
    this.statsBlock.values[Stat.accepted]!++;
    if (this.#hosts(service)) this.#open(slot, service);
    else this.#whenLoaded(service, () => this.#open(slot, service));
  }

  /**
   * Inside the lock of the listening socket: takes a record for a connection. If the listener refuses it, the negated index of the
   * statistic that counts the reason.
   */
  #admit(service: number, record: number, fd: number, filter: AcceptFilter): number {
    const { table } = this;
    const { accepts } = this.#serviceOf(service);
    const { maxSessionsPerAddress: most = 0, proxy } = accepts;
    const address = filter.needsAddress || proxy || most > 0 ? this.#addressOf(fd) : undefined;
    const refused = filter.refuses(address, this.#occupancy(record));
    if (refused >= 0) return -refused;
    if (proxy && (address === undefined || !isListed(proxy.trusted, address))) return -Stat.refusedProxy;
    // The client behind a proxy is counted when its header has told its address.
    const counted = most > 0 && address !== undefined && !proxy;
    const slot = counted
      ? table.acquire(service, table.hashOf(service, plainAddress(address)), most)
      : table.acquire(service);
    if (slot >= 0) return slot;
    return slot === CROWDED ? -Stat.refusedAddress : -Stat.refusedFull;
  }

  #filterOf(service: number): AcceptFilter {
    const hosted = this.#serviceOf(service);
    let filter = this.#filters.get(hosted);
    if (filter === undefined) {
      filter = new AcceptFilter(hosted.accepts, CLOCK, hosted.tokens);
      this.#filters.set(hosted, filter);
    }
    return filter;
  }

  /** Undefined if the clients of a service do not come through proxies. */
  #clientsOf(service: number): ClientAddresses | undefined {
    const { clients: memory } = this.#serviceOf(service);
    if (memory === null) return undefined;
    let clients = this.#clients.get(memory);
    if (clients === undefined) {
      clients = new ClientAddresses(memory);
      this.#clients.set(memory, clients);
    }
    return clients;
  }

  #occupancy(record: number): Occupancy {
    return { count: Atomics.load(this.table.words, record + ServiceField.Sessions) };
  }

  /** Undefined if the connection is gone already. */
  #addressOf(fd: number): string | undefined {
    try {
      return this.sockets.endpoint(fd, 'remote').address;
    } catch (error) {
      if (isIocpError(error)) return undefined;
      throw error;
    }
  }

  /** The first turn of a session. Until it is open no handler is called; if this thread ends before, record and socket are given back. */
  #open(slot: number, service: number): void {
    const { table } = this;
    const at = table.at(slot);
    const hosted = this.#services.get(service)!;
    hosted.layout.clear(this.#memoryOf(service, hosted), slot * hosted.layout.size);
    const clients = this.#clientsOf(service);
    clients?.set(slot, null);
    const failed = this.port.add(table.words[at + Field.Socket]! - 1, slot, table.generation(slot));
    // From now on other threads may send to the session by a broadcast, and arm its socket for the rest.
    table.words[at + Field.Flags] = clients ? Flag.Header : Flag.Open;
    if (!clients) Atomics.or(table.words, at + Field.Pending, Open);
    if (failed !== 0) this.close(slot, table.idOf(slot), failed);
    this.#turn(slot, this.#view(slot));
  }

  // Turns.

  /** Begins a turn, unless another thread has it: then that one looks at the due bits before it ends. */
  #enter(slot: number, generation: number): void {
    const { table } = this;
    const turn = table.at(slot) + Field.Turn;
    if (Atomics.compareExchange(table.words, turn, 0, table.self) !== 0) return;
    const at = table.at(slot);
    // A record without flags is free: a recovery may have posted a packet for it when it was not.
    if (table.generation(slot) !== generation || table.words[at + Field.Flags] === 0) {
      // Not if acquire() has given the turn to another thread meanwhile. Bits that became due for a new session are that one's.
      Atomics.compareExchange(table.words, turn, table.self, 0);
      if (table.words[at + Field.Flags] !== 0 && Atomics.load(table.words, at + Field.Pending) !== 0)
        this.wake(slot, 0);
      return;
    }
    const service = table.words[table.at(slot) + Field.Service]!;
    if (this.#hosts(service)) this.#turn(slot, this.#view(slot));
    else this.#whenLoaded(service, () => this.#turn(slot, this.#view(slot)));
  }

  /** The number of the listener that has the index of a service now. */
  serialOf(service: number): number {
    return Atomics.load(this.table.words, this.table.serviceAt(service) + ServiceField.Serial);
  }

  #hosts(service: number): boolean {
    return this.#services.get(service)?.serial === this.serialOf(service);
  }

  /** Loads the module of a service that has begun since this thread was started. A module that fails here ends the thread. */
  #whenLoaded(service: number, act: () => void): void {
    this.#loading = true;
    void this.#load(service).then(
      () => {
        this.#loading = false;
        act();
        this.#turnLoop();
      },
      (error: unknown) => {
        // As in #serve.
        nextTick(() => {
          throw error;
        });
      },
    );
  }

  #view(slot: number): SharedSession {
    const { table } = this;
    const view = this.#services.get(table.words[table.at(slot) + Field.Service]!)!.acquire();
    view[kBind](this, slot, table.idOf(slot));
    return view;
  }

  /** Calls handlers until nothing is due, or a promise is to be waited for. */
  #turn(slot: number, view: SharedSession): void {
    const { table } = this;
    const { words } = table;
    const at = table.at(slot);
    for (;;) {
      // A bit that is not seen yet is seen by #leave().
      const due = words[at + Field.Pending] === 0 ? 0 : Atomics.exchange(words, at + Field.Pending, 0);
      if ((words[at + Field.Flags]! & Flag.Over) !== 0) {
        if (this.#free(slot, view)) return;
        continue;
      }
      if (due === 0) {
        if (this.#leave(slot, view)) return;
        continue;
      }
      const closing = (words[at + Field.Flags]! & Flag.Closing) !== 0;
      // Another thread may have sent since the queue was empty: then the end comes when it is empty again.
      if (closing || ((due & Close) !== 0 && this.queued(slot) === 0)) {
        const error = this.#finish(slot, view);
        // The last step before the handler: if this thread ends before it, another one calls onDisconnected. Only a recovery writes flags now, by Atomics, too.
        Atomics.or(words, at + Field.Flags, Flag.Over);
        const result = words[at + Field.Opened] === 1 ? this.#run(view, view.onDisconnected, error) : undefined;
        if (this.#follow(slot, view, result, Close)) return;
        if (this.#free(slot, view)) return;
        continue;
      }
      if (due === Close) continue;
      const result = this.#handle(slot, at, view, due & ~Close);
      if (this.#follow(slot, view, result, 0)) return;
    }
  }

  /** Calls the handler of one bit; the others stay due. */
  #handle(slot: number, at: number, view: SharedSession, due: number): unknown {
    const { words } = this.table;
    const bit = due & Open || due & Drain || due & Message || due & End || Read;
    if (due !== bit) Atomics.or(words, at + Field.Pending, due & ~bit);
    switch (bit) {
      case Open:
        words[at + Field.Opened] = 1;
        return this.#run(view, view.onConnected);
      case Drain:
        return this.#run(view, view.onDrain);
      case Message: {
        const message = this.takeMessage(slot);
        if (message === null) return undefined;
        Atomics.or(words, at + Field.Pending, Message);
        return this.#run(view, view.onMessage, message);
      }
      case End:
        this.#endReported(slot, at);
        return undefined;
      default:
        return this.#receive(slot, at, view);
    }
  }

  #receive(slot: number, at: number, view: SharedSession): unknown {
    const { words } = this.table;
    const framer = view[kFramer];
    const flags = words[at + Field.Flags]!;
    if ((flags & Flag.Throttled) !== 0) return undefined;
    if (this.#cutter.waits(at + Field.Frame)) {
      // The client's bytes that came with the PROXY header, or frames that came with an earlier one, whose handler was async.
      if (framer === null) return this.#run(view, view.onReceive, this.#cutter.takeRest(at + Field.Frame));
      this.#cutter.add(NOTHING);
      return this.#deliverFrames(slot, at, view as SharedPacketSession, framer);
    }
    if ((flags & Flag.PeerEnded) !== 0) return undefined;
    const count = this.sockets.receive(words[at + Field.Socket]! - 1);
    if (count > 0) {
      if (this.#data.length !== count) this.#data = this.sockets.received.subarray(0, count);
      if ((flags & Flag.Header) !== 0) {
        this.#readHeader(slot, at, view);
        return undefined;
      }
      words[at + Field.Received]! += count;
      this.statsBlock.values[Stat.bytesReceived]! += count;
      if (framer !== null) {
        this.#cutter.add(this.#data);
        return this.#deliverFrames(slot, at, view as SharedPacketSession, framer);
      }
      return this.#run(view, view.onReceive, this.#data);
    } else if (count === 0) {
      if ((flags & Flag.Header) === 0) return this.#peerEnded(slot, at, view);
      this.close(slot, view.id, Reason.Destroyed);
    } else if (count !== -WOULD_BLOCK) {
      view[kError] ??= this.sockets.error('receive', 'recv', -count);
      this.close(slot, view.id, Reason.Destroyed);
    }
    return undefined;
  }

  /** Calls onPacket for each whole frame, until a handler is async: the others are kept, and due when its promise has settled. */
  #deliverFrames(slot: number, at: number, view: SharedPacketSession, framer: Framer): unknown {
    const { words } = this.table;
    const cutter = this.#cutter;
    const buffer = at + Field.Frame;
    while ((Atomics.load(words, at + Field.Flags) & (Flag.Closing | Flag.Throttled)) === 0) {
      let frame: Buffer | null | undefined;
      let result: unknown;
      try {
        frame = cutter.next(slot, buffer, framer);
        if (frame === null) break;
        result = view[kContext]!.runInAsyncScope(view.onPacket, view, frame);
      } catch (error) {
        // A bad frame is an error of the peer, and no failure of a handler.
        if (frame === undefined && isIocpError(error)) this.destroy(view, error);
        else this.#failed(view, error);
        break;
      }
      if (result === undefined || !isThenable(result)) continue;
      this.#keepRest(slot, at, view);
      return result;
    }
    if ((words[at + Field.Flags]! & Flag.Throttled) !== 0) this.#keepRest(slot, at, view);
    return undefined;
  }

  /** Keeps received bytes for a later turn. */
  #keepRest(slot: number, at: number, view: SharedSession): void {
    try {
      this.#cutter.keepRest(slot, at + Field.Frame);
    } catch (error) {
      this.destroy(view, asError(error));
    }
    if (this.#cutter.waits(at + Field.Frame)) Atomics.or(this.table.words, at + Field.Pending, Read);
  }

  /**
   * Bytes of the PROXY header have arrived. The parts of one lie in the session's frame buffer. A complete one opens the session, or
   * refuses the client; then, and if it is malformed, the connection is reset.
   */
  #readHeader(slot: number, at: number, view: SharedSession): void {
    const { table } = this;
    const { frames } = table;
    const buffer = at + Field.Frame;
    const parted = frames.lengthOf(buffer) > 0;
    const bytes = parted ? Buffer.concat([frames.view(buffer), this.#data]) : this.#data;
    let header: ProxyHeader | null = null;
    let refused = Reason.None as number;
    try {
      header = readProxyHeader(bytes);
    } catch {
      refused = Reason.Destroyed;
    }
    if (header === null) {
      const kept =
        refused === Reason.None && frames.append(buffer, slot, this.#data, 0, this.#data.length, bytes.length);
      if (!kept) refused = Reason.Destroyed;
    } else {
      frames.clear(buffer);
      refused = this.#refusesClient(slot, at, header);
      if (refused === Reason.None) this.#openClient(slot, at, view, bytes.subarray(header.length));
    }
    if (refused !== Reason.None) this.close(slot, view.id, refused);
  }

  /** Gives a number of Reason. Lists and limits do not apply to a proxy that connects for itself, as for a health check. */
  #refusesClient(slot: number, at: number, { source }: ProxyHeader): number {
    if (source === null) return Reason.None;
    const { table } = this;
    const service = table.words[at + Field.Service]!;
    const { accepts } = this.#serviceOf(service);
    const { maxSessionsPerAddress: most } = accepts;
    const address = plainAddress(source.address);
    if (isRefused(accepts, address)) return Reason.Denied;
    if (most !== undefined && !table.countAddress(slot, table.hashOf(service, address), most)) return Reason.Crowded;
    this.#clientsOf(service)!.set(slot, source);
    return Reason.None;
  }

  /** @param rest bytes that came with the header */
  #openClient(slot: number, at: number, view: SharedSession, rest: Buffer): void {
    const { table } = this;
    const { words } = table;
    words[at + Field.Received]! += rest.length;
    this.statsBlock.values[Stat.bytesReceived]! += rest.length;
    this.#cutter.add(rest);
    this.#keepRest(slot, at, view);
    table.lock(slot);
    // If the listener stops, or the time is over, the connection is reset.
    if ((words[at + Field.Flags]! & Flag.Closing) === 0) {
      words[at + Field.Flags] = Flag.Open;
      Atomics.or(words, at + Field.Pending, Open);
    }
    table.unlock(slot);
  }

  /** Whether the session stays open for sending, as its peer has ended in order. */
  #outlivesPeer(at: number): boolean {
    const { table } = this;
    const { words } = table;
    const halfOpen = words[table.serviceAt(words[at + Field.Service]!) + ServiceField.HalfOpen] === 1;
    return halfOpen && table.frames.lengthOf(at + Field.Frame) === 0;
  }

  /** The peer has ended its direction. An end in the middle of a frame is an error, and not an orderly end. */
  #peerEnded(slot: number, at: number, view: SharedSession): unknown {
    const { table } = this;
    table.lock(slot);
    table.words[at + Field.Flags]! |= Flag.PeerEnded;
    const reset = !this.#outlivesPeer(at) && this.ending(slot, at);
    table.unlock(slot);
    if (reset) return undefined;
    Atomics.or(table.words, at + Field.Pending, End);
    return table.frames.lengthOf(at + Field.Frame) > 0 ? undefined : this.#run(view, view.onEnd);
  }

  /** onEnd has returned, and its promise has settled. */
  #endReported(slot: number, at: number): void {
    const { table } = this;
    const { words } = table;
    table.lock(slot);
    if (!this.#outlivesPeer(at)) words[at + Field.Flags]! |= Flag.Finishing;
    const ends = (words[at + Field.Flags]! & (Flag.Finishing | Flag.Ending)) !== 0;
    if (ends && this.queued(slot) === 0) Atomics.or(words, at + Field.Pending, Close);
    table.unlock(slot);
  }

  /** Calls a handler, in the turn's async context. */
  #run<T>(view: SharedSession, handler: (argument: T) => unknown, argument?: T): unknown {
    try {
      return view[kContext]!.runInAsyncScope(handler, view, argument!);
    } catch (thrown) {
      this.#failed(view, thrown);
      return undefined;
    }
  }

  /** A handler has failed: its session ends with the error. One that is over already has no one else to tell. */
  #failed(view: SharedSession, thrown: unknown): void {
    const error = asError(thrown);
    const { table } = this;
    const over = (table.words[table.at(view[kSlot]) + Field.Flags]! & Flag.Over) !== 0;
    report(this, view, error);
    if (over || view.onDisconnected === SharedSession.prototype.onDisconnected) {
      warn(this, 'A shared session was closed, as its handler failed', error);
    }
    if (!over) this.destroy(view, error);
  }

  /** True if a handler returned a promise: the turn goes on when that has settled. */
  #follow(slot: number, view: SharedSession, result: unknown, last: number): boolean {
    if (result === undefined || !isThenable(result)) return false;
    this.#pending++;
    const settled = () => {
      this.#pending--;
      if (last === 0 || !this.#free(slot, view)) this.#turn(slot, view);
    };
    result.then(settled, (thrown: unknown) => {
      this.#failed(view, thrown);
      settled();
    });
    return true;
  }

  /** Ends the turn. False when something has become due meanwhile, and this thread goes on. */
  #leave(slot: number, view: SharedSession): boolean {
    const { table } = this;
    const { words } = table;
    const at = table.at(slot);
    // Behind the end of the turn the record may serve a session of another listener.
    const service = words[at + Field.Service]!;
    table.lock(slot);
    Atomics.store(words, at + Field.Turn, 0);
    // The kernel's last packet of a session that is over may have come while this thread had the turn: that thread could not enter.
    const last = (words[at + Field.Flags]! & Flag.Over) !== 0 && this.port.idle(slot);
    const due = last || Atomics.load(words, at + Field.Pending) !== 0;
    const again = due && Atomics.compareExchange(words, at + Field.Turn, 0, table.self) === 0;
    if (!again) this.arm(slot);
    table.unlock(slot);
    if (again) return false;
    this.#giveBack(service, view);
    return true;
  }

  #rearm(slot: number, generation: number): void {
    const { table } = this;
    table.lock(slot);
    if (table.generation(slot) === generation) this.arm(slot);
    table.unlock(slot);
  }

  /** Closes the descriptor. Gives the reason of the end, undefined if that is in order. */
  #finish(slot: number, view: SharedSession): Error | undefined {
    const { table } = this;
    const { words } = table;
    const at = table.at(slot);
    table.lock(slot);
    const flags = words[at + Field.Flags]!;
    const lost = this.queued(slot) > 0;
    if ((flags & Flag.Header) !== 0) refuse(this, REFUSALS[words[at + Field.Reason]!] ?? Stat.refusedProxy);
    words[at + Field.Flags] = (flags & ~(Flag.Open | Flag.Congested)) | Flag.Closing;
    if (words[at + Field.Socket] !== 0) {
      this.#close(words[at + Field.Socket]! - 1, lost || (flags & Flag.Reset) !== 0);
      words[at + Field.Socket] = 0;
    }
    table.unlock(slot);
    table.leaveGroups(slot);
    const reason = words[at + Field.Reason]!;
    const truncated =
      reason === Reason.None && (flags & Flag.PeerEnded) !== 0 && table.frames.lengthOf(at + Field.Frame) > 0;
    return view[kError] ?? (truncated ? truncatedFrame() : this.#errorOf(reason, words[at + Field.Service]!));
  }

  /** If this thread ends in here, the core's thread closes the descriptor, unless that names another socket by then. */
  #close(fd: number, reset: boolean): void {
    const held = this.#held;
    held[Held.Mark] = this.sockets.mark(fd);
    held[Held.Closing] = fd;
    held[Held.Accepted] = -1;
    this.sockets.close(fd, reset);
    held[Held.Closing] = -1;
  }

  /** The session is over. False when something is due in this turn, as the kernel's last packet of the record has just come. */
  #free(slot: number, view: SharedSession): boolean {
    // The thread that takes that packet frees the record, in the next turn.
    if (!this.port.idle(slot)) return this.#leave(slot, view);
    this.#giveBack(this.table.words[this.table.at(slot) + Field.Service]!, view);
    this.table.release(slot);
    this.statsBlock.values[Stat.ended]!++;
    return true;
  }

  #giveBack(service: number, view: SharedSession): void {
    view[kUnbind]();
    this.#services.get(service)!.release(view);
  }

  /** Why a session ended, if no error object says so. */
  #errorOf(reason: number, service: number): Error | undefined {
    const { timeouts } = this.#serviceOf(service);
    switch (reason) {
      case Reason.Read:
        return timedOut('read', timeouts);
      case Reason.FirstByte:
        return timedOut('firstByte', timeouts);
      case Reason.Frame:
        return timedOut('frame', timeouts);
      case Reason.Write:
        return timedOut('write', timeouts);
      case Reason.TooSlow:
        return tooSlow();
      case Reason.Lingered:
        return lingeredOut();
      case Reason.None:
      case Reason.Destroyed:
      case Reason.Denied:
      case Reason.Crowded:
        return undefined;
      case Reason.ThreadLost:
        return new IocpError('serve the session', 'the thread that handled it has ended', 'ECHILD', 'Worker');
      case Reason.QueueFull:
        return new IocpError('send', 'too many bytes wait already', 'ENOBUFS', 'send');
      default:
        return this.sockets.error('send', 'send', reason);
    }
  }
}
