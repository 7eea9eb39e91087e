// libc, through koffi: the calls that io_uring does not have, and io_uring's own three system calls.
// Each function is bound when it is first called, so importing this file asks nothing of the platform.

import { IocpError } from '../contract/errors.js';
import { bindsLater } from '../native/bindings.js';
import { koffi } from '../native/koffi.js';
import { guarded } from '../native/load-guard.js';
import { linuxError } from './errors.js';
import { SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup } from './layout.js';

type Arguments = readonly (number | Uint8Array | null)[];
export type Native<A extends Arguments> = (...args: A) => number;

/** The C library of this process, glibc or musl. */
function bind<A extends Arguments>(definition: string): Native<A> {
  let native: Native<A> | undefined;
  const known = () => {
    native ??= bound<A>(definition);
    return native;
  };
  if (process.platform === 'linux') bindsLater(known);
  return (...args) => (native ?? known())(...args);
}

/** A function of the C library, bound at once: without bind()'s look at each call. Throws an IocpError elsewhere. */
export function bound<A extends Arguments>(definition: string): Native<A> {
  if (process.platform !== 'linux') {
    throw new IocpError(`call ${definition}`, 'this is not Linux', 'ENOTSUP', 'libc');
  }
  return guarded(() => koffi().load(null).func(definition) as unknown as Native<A>);
}

/** errno of the last call of this thread. Read it at once. */
export const errno = (): number => koffi().errno();

export const socket = bind<[domain: number, type: number, protocol: number]>('int socket(int, int, int)');
export const bindSocket = bind<[fd: number, address: Buffer, length: number]>('int bind(int, void *, uint32_t)');
export const connectSocket = bind<[fd: number, address: Buffer, length: number]>('int connect(int, void *, uint32_t)');
export const fcntl = bind<[fd: number, command: number, value: number]>('int fcntl(int, int, int)');
export const listen = bind<[fd: number, backlog: number]>('int listen(int, int)');
export const setsockopt = bind<[fd: number, level: number, name: number, value: Buffer, length: number]>(
  'int setsockopt(int, int, int, void *, uint32_t)',
);
export const getsockopt = bind<[fd: number, level: number, name: number, value: Buffer, length: Buffer]>(
  'int getsockopt(int, int, int, void *, void *)',
);
export const getsockname = bind<[fd: number, address: Buffer, length: Buffer]>('int getsockname(int, void *, void *)');
export const getpeername = bind<[fd: number, address: Buffer, length: Buffer]>('int getpeername(int, void *, void *)');
export const if_nametoindex = bind<[name: Buffer]>('uint32_t if_nametoindex(void *)');
export const if_indextoname = bind<[index: number, name: Buffer]>('intptr_t if_indextoname(uint32_t, void *)');
export const shutdown = bind<[fd: number, how: number]>('int shutdown(int, int)');
export const close = bind<[fd: number]>('int close(int)');
export const eventfd = bind<[initial: number, flags: number]>('int eventfd(uint32_t, int)');
export const epoll_create1 = bind<[flags: number]>('int epoll_create1(int)');
export const epoll_ctl = bind<[epoll: number, change: number, fd: number, event: Buffer]>(
  'int epoll_ctl(int, int, int, void *)',
);
export const epoll_wait = bind<[epoll: number, events: Buffer, most: number, timeout: number]>(
  'int epoll_wait(int, void *, int, int)',
);
export const timerfd_create = bind<[clock: number, flags: number]>('int timerfd_create(int, int)');
export const timerfd_settime = bind<[fd: number, flags: number, value: Buffer, old: null]>(
  'int timerfd_settime(int, int, void *, void *)',
);
export const pipe2 = bind<[ends: Buffer, flags: number]>('int pipe2(void *, int)');
export const read = bind<[fd: number, into: Buffer, length: number]>('long read(int, void *, size_t)');
export const write = bind<[fd: number, from: Buffer, length: number]>('long write(int, void *, size_t)');
const dlsym = bind<[library: number, name: Buffer]>('intptr_t dlsym(intptr_t, void *)');
/** The address of a function of the C library. */
export const addressOf = (name: string): number => dlsym(0, Buffer.from(`${name}\0`));

type Hook = (environment: unknown, native: number, argument: number) => number;
let hooks: { readonly add: Hook; readonly remove: Hook } | undefined;
const cleanupHooks = () => {
  hooks ??= {
    add: bound('int napi_add_env_cleanup_hook(void *, intptr_t, intptr_t)') as unknown as Hook,
    remove: bound('int napi_remove_env_cleanup_hook(void *, intptr_t, intptr_t)') as unknown as Hook,
  };
  return hooks;
};
/** Has Node call a native function with one argument when this thread's environment ends. */
export const addCleanupHook: Hook = (...args) => cleanupHooks().add(...args);
export const removeCleanupHook: Hook = (...args) => cleanupHooks().remove(...args);

export const mmap = bind<[at: number, length: number, prot: number, flags: number, fd: number, offset: number]>(
  'intptr_t mmap(intptr_t, size_t, int, int, int, long)',
);
export const munmap = bind<[at: number, length: number]>('int munmap(intptr_t, size_t)');
export const madvise = bind<[at: number, length: number, advice: number]>('int madvise(intptr_t, size_t, int)');

const setup = bind<[number: number, entries: number, params: Buffer]>('long syscall(long, uint32_t, void *)');
const register = bind<[number: number, fd: number, opcode: number, argument: Buffer | null, count: number]>(
  'long syscall(long, uint32_t, uint32_t, void *, uint32_t)',
);
/** io_setup(2): `(SYS_io_setup, operations, context)`, where the call writes the context's 8 bytes. */
export const setupContext = bind<[number: number, operations: number, context: Buffer]>(
  'long syscall(long, uint32_t, void *)',
);
/** io_destroy(2): `(SYS_io_destroy, context)`. */
export const destroyContext = bind<[number: number, context: number]>('long syscall(long, intptr_t)');
/** io_uring_enter(2), ready to be called in a loop: `(SYS_io_uring_enter, fd, submit, complete, flags, arg, size)`. */
export type Enter = Native<
  [number: number, fd: number, submit: number, complete: number, flags: number, argument: number, size: number]
>;
export const bindEnter = (): Enter =>
  bound('long syscall(long, uint32_t, uint32_t, uint32_t, uint32_t, intptr_t, size_t)');

/** io_uring_setup(2). */
export const io_uring_setup = (entries: number, params: Buffer): number => setup(SYS_io_uring_setup, entries, params);
/** io_uring_register(2). */
export const io_uring_register = (fd: number, opcode: number, argument: Buffer | null, count: number): number =>
  register(SYS_io_uring_register, fd, opcode, argument, count);
export { SYS_io_uring_enter };

/** Passes a result through; throws an IocpError when it is negative. */
export function check(result: number, action: string, syscall: string): number {
  if (result < 0) throw linuxError(action, syscall, errno());
  return result;
}
