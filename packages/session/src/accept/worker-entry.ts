// What each worker thread runs for a listener: it takes over the sockets that are handed to it, or listens for itself, and
// makes sessions of the user's module.

import { type Endpoint, isIocpError, type PortSocket } from '@overlapped/iocp-native';
import type { Hosted, IocpCore } from '@overlapped/net-core';
import type { SessionLimits, SessionOptions } from '../session/session-set.js';
import type { AcceptLimits } from './accept-filter.js';
import { loadKind } from './accept-target.js';
import { Admission } from './admission.js';
import { Listener, type ListenOptions, type LocalListenOptions } from './listener.js';

/** The listener's options, as they cross to another thread. */
export type HostData = (ListenOptions | LocalListenOptions) &
  SessionLimits & { readonly module: string; readonly reusePort?: boolean };

export async function start(core: IocpCore, data: HostData, first: unknown, ended: Int32Array): Promise<Hosted> {
  const { module, ...rest } = data;
  const options = { ...rest, session: await loadKind(module) };
  const { onPost } = await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  const posts = typeof onPost === 'function' ? { onPost } : {};
  const own = data.reusePort && !('path' in options);
  return { ...posts, ...(own ? await listen(core, options, first) : adopt(core, options, ended)) };
}

/** The thread has a listening socket of its own, where the first one's is. */
async function listen(core: IocpCore, options: ListenOptions & SessionOptions, first: unknown): Promise<Hosted> {
  const { host, port } = options;
  const { address = host, port: taken = port } = (first as Endpoint | undefined) ?? {};
  const where = { port: taken, ...(address !== undefined && { host: address }) };
  const listener = await Listener.listen(core, { ...options, ...where });
  return { value: listener.endpoint, onSocket() {}, stop: (grace) => listener.stop(grace) };
}

/** The thread takes over what another accepted, and let in as far as the limits go that hold for all threads. */
export function adopt(core: IocpCore, options: SessionOptions & AcceptLimits, ended: Int32Array): Hosted {
  const over = () => {
    Atomics.add(ended, 0, 1);
  };
  const admission = new Admission(core, options, over);
  core.attach(admission);
  return {
    onSocket(handle) {
      if (!take(core, admission, handle)) over();
    },
    async stop(grace) {
      await admission.stop(grace);
      core.detach(admission);
    },
  };
}

function take(core: IocpCore, admission: Admission, handle: number): boolean {
  let socket: PortSocket;
  try {
    socket = core.port.adopt(handle);
  } catch (error) {
    // The connection is closed; that it was not to be had is nobody's fault here.
    if (!isIocpError(error)) throw error;
    process.emitWarning(error);
    return false;
  }
  return admission.take(socket);
}
