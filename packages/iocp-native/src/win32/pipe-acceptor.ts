// Accepting on a named pipe: each accept is an instance of the pipe, with a ConnectNamedPipe. While no accept waits, one idle
// instance does: so the name stays taken, and a client finds it.

import { endpointText } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import { type ListenOptions, Operation, type Overlapped, type PipeEndpoint } from '../contract/port.js';
import type { Port } from '../port/port.js';
import { Kind } from '../port/socket.js';
import { ERROR_IO_PENDING, ERROR_NO_DATA, ERROR_PIPE_CONNECTED } from './constants.js';
import { win32PacketError } from './errors.js';
import { addressOf, type KernelQueue } from './kernel-queue.js';
import { ConnectNamedPipe, GetLastError } from './kernel32.js';
import { closePipe, createInstance, PipeState } from './pipe.js';
import { Win32Socket } from './socket.js';
import type { SocketHandles } from './socket-handles.js';

const ACTION = 'accept a connection';

/** The state of a listener on a pipe, in the place of a handle. */
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
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  readonly #handles: SocketHandles;

  constructor(port: Port<Win32Socket>, queue: KernelQueue, handles: SocketHandles) {
    this.#port = port;
    this.#queue = queue;
    this.#handles = handles;
  }

  /** Throws an IocpError. */
  listen({ path }: PipeEndpoint, options: ListenOptions): Win32Socket {
    const action = `listen on ${endpointText({ path })}`;
    if (options.reusePort) throw new IocpError(action, 'a pipe has one listener', 'ENOTSUP', 'CreateNamedPipeW');
    if (options.detached) {
      const reason = 'a pipe is with its port before its client comes';
      throw new IocpError(action, reason, 'ENOTSUP', 'CreateNamedPipeW');
    }
    const listening = new PipeListenerState(path, options, action);
    return this.#port.add(new Win32Socket(this.#port, Kind.Listener, listening));
  }

  accept(listener: Win32Socket, listening: PipeListenerState, event: Overlapped): void {
    let instance: Win32Socket;
    try {
      instance = this.#takeInstance(listening);
    } catch (error) {
      this.#fail(listener, event, error as IocpError);
      return;
    }
    instance.accepting = { listener, event };
    listening.instances.set(event, instance);
    const done = ConnectNamedPipe(instance.handle, this.#queue.prepare(event)) !== 0;
    const errno = this.#queue.outcome(done ? 0 : GetLastError(), false);
    if (errno === ERROR_IO_PENDING) return;
    // A client that came before the call is connected at once; also one that has closed its end again, with the bytes that it wrote.
    this.complete(instance, errno === ERROR_PIPE_CONNECTED || errno === ERROR_NO_DATA ? 0 : errno);
  }

  cancel(listening: PipeListenerState, event: Overlapped): void {
    const instance = listening.instances.get(event);
    if (instance) this.#handles.cancel(instance, addressOf(event));
  }

  /** Ends the accepts that wait; their packets come. Closes the idle instance, and its client if it has one. */
  close(listening: PipeListenerState): void {
    for (const event of listening.instances.keys()) this.cancel(listening, event);
    if (listening.idle >= 0) closePipe(listening.idle, 'server', true);
    listening.idle = -1;
  }

  /** A ConnectNamedPipe has ended with this NTSTATUS or error number. */
  complete(instance: Win32Socket, status: number): void {
    const { listener, event } = instance.accepting!;
    const listening = listener.listening as PipeListenerState;
    instance.accepting = null;
    listening.instances.delete(event);
    if (status === 0) {
      this.#port.stats.sockets++;
      this.#port.queue(Operation.Accept, listener, event, null).socket = instance;
    } else {
      this.discard(instance);
      this.#fail(listener, event, win32PacketError(ACTION, 'ConnectNamedPipe', status));
    }
    this.#keepName(listener, listening);
  }

  /** Closes an instance that has no client. */
  discard(instance: Win32Socket): void {
    this.#handles.close(instance);
    this.#port.sockets.remove(instance);
  }

  /**
   * An instance that waits for a client. It has a slot, so that its packet finds it; `stats.sockets` counts it when it is a
   * connection.
   */
  #takeInstance(listening: PipeListenerState): Win32Socket {
    const { path, options, idle } = listening;
    const handle = idle >= 0 ? idle : createInstance(path, options, false, ACTION);
    listening.idle = -1;
    const instance = new Win32Socket(this.#port, Kind.Connection);
    instance.pipe = new PipeState('server');
    this.#port.sockets.add(instance);
    try {
      this.#handles.attachPipe(instance, handle, ACTION);
      return instance;
    } catch (error) {
      this.discard(instance);
      throw error;
    }
  }

  #keepName(listener: Win32Socket, listening: PipeListenerState): void {
    if (listener.closing || listening.instances.size > 0 || listening.idle >= 0) return;
    try {
      listening.idle = createInstance(listening.path, listening.options, false, ACTION);
    } catch {
      // The next accept makes one, or its packet has the error.
    }
  }

  #fail(listener: Win32Socket, event: Overlapped, error: IocpError): void {
    this.#port.queue(Operation.Accept, listener, event, error).socket = null;
  }
}
