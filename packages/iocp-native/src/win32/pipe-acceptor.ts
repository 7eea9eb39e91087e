// Accepting on a named pipe: each accept is an instance of it, with a ConnectNamedPipe. While no accept waits, one instance
// does, so that the name stays ours and a client finds it.

import { endpointText } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import { type ListenOptions, Operation, type Overlapped, type PipeEndpoint } from '../contract/port.js';
import { ERROR_IO_PENDING, ERROR_NO_DATA, ERROR_PIPE_CONNECTED } from './constants.js';
import type { Engine } from './engine.js';
import { win32PacketError } from './errors.js';
import { ConnectNamedPipe, GetLastError } from './kernel32.js';
import { closePipe, createInstance } from './pipe.js';
import type { Win32Socket } from './socket.js';

const ACTION = 'accept a connection';

/** What a listener on a pipe has instead of a socket. */
export class PipeListenerState {
  readonly path: string;
  readonly options: ListenOptions;
  /** The instance that waits while no accept does; -1 for none. */
  idle: number;
  /** The instances that accepts wait on. */
  readonly instances = new Map<Overlapped, Win32Socket>();

  /** Throws an IocpError (EADDRINUSE ...). */
  constructor(path: string, options: ListenOptions, action: string) {
    this.path = path;
    this.options = options;
    this.idle = createInstance(path, options, true, action);
  }
}

export class PipeAcceptor {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Throws an IocpError. */
  listen({ path }: PipeEndpoint, options: ListenOptions): Win32Socket {
    const action = `listen on ${endpointText({ path })}`;
    if (options.reusePort) throw new IocpError(action, 'a pipe has one listener', 'ENOTSUP', 'CreateNamedPipeW');
    if (options.detached) {
      const reason = 'a pipe is with its port before its client comes';
      throw new IocpError(action, reason, 'ENOTSUP', 'CreateNamedPipeW');
    }
    return this.#engine.addSocket(-1, new PipeListenerState(path, options, action), action);
  }

  accept(listener: Win32Socket, state: PipeListenerState, event: Overlapped): void {
    this.#engine.start(listener, event);
    let instance: Win32Socket;
    try {
      instance = this.#takeInstance(state);
    } catch (error) {
      this.#fail(listener, event, error as IocpError);
      return;
    }
    instance.accepting = { listener, event };
    state.instances.set(event, instance);
    const done = ConnectNamedPipe(instance.handle, this.#engine.prepare(event)) !== 0;
    const errno = this.#engine.outcome(done ? 0 : GetLastError(), false);
    if (errno === ERROR_IO_PENDING) return;
    // A client that came early is there at once; so is one that has left again, and what it wrote.
    this.complete(instance, errno === ERROR_PIPE_CONNECTED || errno === ERROR_NO_DATA ? 0 : errno);
  }

  cancel(state: PipeListenerState, event: Overlapped): void {
    const instance = state.instances.get(event);
    if (instance) this.#engine.cancel(instance, event.block.address + event.offset);
  }

  /** Ends the accepts that wait; their packets come. What no accept waits for is closed with its client, if it has one. */
  close(state: PipeListenerState): void {
    for (const event of state.instances.keys()) this.cancel(state, event);
    if (state.idle >= 0) closePipe(state.idle, 'server', true);
    state.idle = -1;
  }

  /** A ConnectNamedPipe has ended with this NTSTATUS or error number. */
  complete(instance: Win32Socket, status: number): void {
    const { listener, event } = instance.accepting!;
    const state = listener.listener as PipeListenerState;
    instance.accepting = null;
    state.instances.delete(event);
    if (status === 0) {
      instance.closing = false;
      this.#engine.stats.sockets++;
      this.#engine.queuePacket(Operation.Accept, listener, event, null).socket = instance;
    } else {
      this.#discard(instance);
      this.#fail(listener, event, win32PacketError(ACTION, 'ConnectNamedPipe', status));
    }
    this.#keepName(listener, state);
  }

  /** An instance that waits, as a socket of the port. Until it is a connection nobody may see, count or close it. */
  #takeInstance(state: PipeListenerState): Win32Socket {
    const handle = state.idle >= 0 ? state.idle : createInstance(state.path, state.options, false, ACTION);
    state.idle = -1;
    const instance = this.#engine.addSocket(-1, null, ACTION, 'server');
    instance.closing = true;
    this.#engine.stats.sockets--;
    try {
      this.#engine.attach(instance, handle, ACTION);
      return instance;
    } catch (error) {
      this.#discard(instance);
      throw error;
    }
  }

  #discard(instance: Win32Socket): void {
    this.#engine.stats.sockets++;
    this.#engine.removeSocket(instance);
  }

  #keepName(listener: Win32Socket, state: PipeListenerState): void {
    if (listener.closing || state.instances.size > 0 || state.idle >= 0) return;
    try {
      state.idle = createInstance(state.path, state.options, false, ACTION);
    } catch {
      // The next accept makes one, or says why it cannot.
    }
  }

  #fail(listener: Win32Socket, event: Overlapped, error: IocpError): void {
    this.#engine.queuePacket(Operation.Accept, listener, event, error).socket = null;
  }
}
