// The module that each worker thread loads for a listener. It adopts sockets that the listener accepted, or listens itself
// (`reusePort`), and makes sessions of the user's module.

import { type Endpoint, isIocpError, type PortSocket } from '@overlapped/iocp-native';
import type { Core, Service } from '@overlapped/net-core/internal';
import type { SessionLimits, SessionOptions } from '../session/session-set.js';
import { ServerTls } from '../tls/server-tls.js';
import type { AcceptLimits } from './accept-filter.js';
import { loadKind } from './accept-target.js';
import { Admission } from './admission.js';
import { Listener, type ListenOptions, type LocalListenOptions, type TlsListenOptions } from './listener.js';

/** The listener's options, as they are passed to the worker threads. */
export type WorkerOptions = (ListenOptions | LocalListenOptions) &
  SessionLimits & { readonly module: string; readonly reusePort?: boolean };

export async function start(core: Core, data: WorkerOptions, first: unknown, ended: Int32Array): Promise<Service> {
  const { module, ...rest } = data;
  const options = { ...rest, session: await loadKind(module) };
  const { onPost } = await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  const posts = typeof onPost === 'function' ? { onPost } : {};
  const own = data.reusePort && !('path' in options);
  return { ...posts, ...(own ? await listen(core, options, first) : adopt(core, options, ended)) };
}

/** `reusePort`: the thread has a listening socket of its own. `first` is the endpoint of the first thread's. */
async function listen(core: Core, options: ListenOptions & SessionOptions, first: unknown): Promise<Service> {
  const { host, port } = options;
  const { address = host, port: taken = port } = (first as Endpoint | undefined) ?? {};
  const where = { port: taken, ...(address !== undefined && { host: address }) };
  const listener = await Listener.listen(core, { ...options, ...where });
  return {
    value: listener.endpoint,
    onSocket() {},
    update: (data) => listener.setTls((data as WorkerOptions).tls!),
    stop: (grace) => listener.stop(grace),
  };
}

/** The thread adopts connections that another thread accepted. The limits for all threads have been applied there. */
export function adopt(
  core: Core,
  options: SessionOptions & AcceptLimits & TlsListenOptions,
  ended: Int32Array,
): Service {
  const over = () => {
    Atomics.add(ended, 0, 1);
  };
  const tls = options.tls ? new ServerTls(options.tls) : null;
  const admission = new Admission(core, options, tls, over);
  core.attach(admission);
  return {
    onSocket(handle) {
      if (!take(core, admission, handle)) over();
    },
    update: (data) => tls?.replace((data as WorkerOptions).tls!),
    async stop(grace) {
      await admission.stop(grace);
      core.detach(admission);
    },
  };
}

function take(core: Core, admission: Admission, handle: number): boolean {
  let socket: PortSocket;
  try {
    socket = core.port.adopt(handle);
  } catch (error) {
    // adopt() has closed the connection. A warning reports why; the thread goes on.
    if (!isIocpError(error)) throw error;
    process.emitWarning(error);
    return false;
  }
  return admission.take(socket);
}
