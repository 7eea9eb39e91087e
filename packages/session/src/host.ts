// What each worker thread runs for a listener: it takes over the sockets that are handed to it, or listens for itself, and
// makes sessions of the user's module.

import { type Endpoint, isIocpError } from '@overlapped/iocp-native';
import { closeHandle } from '@overlapped/iocp-native/threads';
import { Figure, type Hosted, type IocpCore } from '@overlapped/net-core';
import { EVERYONE } from './groups.js';
import { loadKind } from './intake.js';
import { Listener, type ListenOptions, type LocalListenOptions } from './listener.js';
import { type SessionLimits, type SessionOptions, SessionSet } from './session-set.js';

/** The listener's options, as they cross to another thread. */
export type HostData = (ListenOptions | LocalListenOptions) &
  SessionLimits & { readonly module: string; readonly reusePort?: boolean };

export async function start(core: IocpCore, data: HostData, first: unknown): Promise<Hosted> {
  const { module, ...rest } = data;
  const options = { ...rest, session: await loadKind(module) };
  const { onPost } = await import(module);
  const posts = typeof onPost === 'function' ? { onPost } : {};
  const own = data.reusePort && !('path' in options);
  return { ...posts, ...(own ? await listen(core, options, first) : adopt(core, options)) };
}

/** The thread has a listening socket of its own, where the first one's is. */
async function listen(core: IocpCore, options: ListenOptions & SessionOptions, first: unknown): Promise<Hosted> {
  const { host, port } = options;
  const { address = host, port: taken = port } = (first as Endpoint | undefined) ?? {};
  const where = { port: taken, ...(address !== undefined && { host: address }) };
  const listener = await Listener.listen(core, { ...options, ...where });
  return { value: listener.endpoint, onSocket() {}, stop: (grace) => listener.stop(grace) };
}

/** The thread takes over what another accepted. */
function adopt(core: IocpCore, options: SessionOptions): Hosted {
  const set = new SessionSet(core, options, EVERYONE);
  core.attach(set);
  return {
    onSocket(handle) {
      if (!core.admit()) {
        closeHandle(core.backend, handle);
        core.board.values[Figure.ended]!++;
        return;
      }
      try {
        set.open(core.port.adopt(handle));
      } catch (error) {
        core.dismiss();
        // The connection is closed; that it was not to be had is nobody's fault here.
        if (!isIocpError(error)) throw error;
        process.emitWarning(error);
      }
    },
    async stop(grace) {
      await set.stop(grace);
      core.detach(set);
    },
  };
}
