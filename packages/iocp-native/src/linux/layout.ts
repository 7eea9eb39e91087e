// Numbers of the Linux ABI: io_uring's structures, opcodes and flags (linux/io_uring.h), sockets (bits/socket.h), epoll
// (sys/epoll.h). All of them are the same on x86-64, arm64, riscv64 and loong64, where nothing else is said; others differ, and
// backend.ts refuses them. Offsets are in bytes unless a name ends in `32` (32-bit words).

/** System calls. */
export const SYS_io_uring_setup = 425;
export const SYS_io_uring_enter = 426;
export const SYS_io_uring_register = 427;
const aio = (x64: number, others: number) => (process.arch === 'x64' ? x64 : others);
export const SYS_io_setup = aio(206, 0);
export const SYS_io_destroy = aio(207, 1);
export const SYS_io_getevents = aio(208, 4);
export const SYS_io_submit = aio(209, 2);

/** struct io_uring_params: 120 bytes. */
export const PARAMS = {
  size: 120,
  sqEntries: 0,
  cqEntries: 4,
  flags: 8,
  features: 20,
  sqHead: 40,
  sqTail: 44,
  sqMask: 48,
  sqFlags: 56,
  sqArray: 64,
  cqHead: 80,
  cqTail: 84,
  cqMask: 88,
  cqCqes: 100,
  cqFlags: 104,
} as const;

export const SETUP = {
  CQSIZE: 1 << 3,
  CLAMP: 1 << 4,
  COOP_TASKRUN: 1 << 8,
  TASKRUN_FLAG: 1 << 9,
  SINGLE_ISSUER: 1 << 12,
  DEFER_TASKRUN: 1 << 13,
};
export const FEATURE = { SINGLE_MMAP: 1 << 0, NODROP: 1 << 1, EXT_ARG: 1 << 8, NO_IOWAIT: 1 << 17 };
export const ENTER = { GETEVENTS: 1 << 0, EXT_ARG: 1 << 3, REGISTERED_RING: 1 << 4, NO_IOWAIT: 1 << 7 };
export const SQ_FLAG = { CQ_OVERFLOW: 1 << 1, TASKRUN: 1 << 2 };
export const CQ_FLAG = { EVENTFD_DISABLED: 1 << 0 };
export const REGISTER = { EVENTFD: 4, PROBE: 8, RING_FDS: 20, PBUF_RING: 22 };
export const OFFSET_SQES = 0x10000000;

/** struct io_uring_sqe, in 32-bit words; 16 of them. */
export const SQE_WORDS = 16;
/** struct io_uring_cqe, in 32-bit words: user_data low, high, res, flags. */
export const CQE_WORDS = 4;

export const OP = {
  NOP: 0,
  POLL_ADD: 6,
  SENDMSG: 9,
  RECVMSG: 10,
  TIMEOUT: 11,
  ACCEPT: 13,
  ASYNC_CANCEL: 14,
  CONNECT: 16,
  CLOSE: 19,
  READ: 22,
  SEND: 26,
  RECV: 27,
  SHUTDOWN: 34,
} as const;

export const ASYNC_CANCEL_FLAG = { ALL: 1 << 0, ANY: 1 << 2 };
export const SQE_FLAG = { IO_LINK: 1 << 2, BUFFER_SELECT: 1 << 5, CQE_SKIP_SUCCESS: 1 << 6 };
export const CQE_FLAG = { BUFFER: 1 << 0, MORE: 1 << 1 };
export const RECV_MULTISHOT = 1 << 1;
export const ACCEPT_MULTISHOT = 1 << 0;
export const POLL_ADD_MULTI = 1 << 0;

/** struct io_uring_buf: 16 bytes: addr (8), len (4), bid (2), and in the first one the ring's tail (2). */
export const BUF = { size: 16, bid16: 6, tail16: 7 } as const;

/** struct msghdr (56 bytes) and struct iovec (16 bytes), 64-bit. */
export const MSGHDR = { size: 56, namelen: 8, iov: 16, iovlen: 24, flags: 48 };
export const IOVEC = { size: 16, base: 0, len: 8 };

/** struct mmsghdr: a msghdr, and the bytes that came. */
export const MMSGHDR = { size: 64, length: 56 };

/** struct io_uring_recvmsg_out: the header that a multishot recvmsg writes before the address. */
export const RECVMSG_OUT = { size: 16, flags: 12 };

/** struct iocb and struct io_event (linux/aio_abi.h), of machines whose low bytes come first. */
export const IOCB = { size: 64, data: 0, opcode: 16, fd: 20, buffer: 24, bytes: 32 } as const;
export const IO_EVENT = { size: 32, data: 0, result: 16 } as const;
export const IOCB_CMD_PWRITE = 1;

/** struct epoll_event: events (4), data (8). It is packed on x86-64 alone. */
export const EPOLL_EVENT = process.arch === 'x64' ? { size: 12, data: 4 } : { size: 16, data: 8 };
export const EPOLL = {
  CLOEXEC: 0x80000,
  CTL_ADD: 1,
  CTL_DEL: 2,
  CTL_MOD: 3,
  IN: 1 << 0,
  PRI: 1 << 1,
  OUT: 1 << 2,
  ERR: 1 << 3,
  HUP: 1 << 4,
  RDHUP: 1 << 13,
  ONESHOT: 1 << 30,
  ET: 1 << 31,
} as const;

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_CLOEXEC = 0x80000;
export const SOCK_NONBLOCK = 0x800;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_BROADCAST = 6;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_LINGER = 13;
export const SO_REUSEPORT = 15;
export const SO_DOMAIN = 39;
export const IPPROTO_TCP = 6;
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
export const IPPROTO_IP = 0;
export const IP_TOS = 1;
export const IPV6_TCLASS = 67;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_MORE = 0x8000;
export const POLLIN = 1;
export const CLOCK_MONOTONIC = 1;
export const TFD_CLOEXEC = 0x80000;
export const TFD_NONBLOCK = 0x800;
export const EFD_CLOEXEC = 0x80000;
export const EFD_NONBLOCK = 0x800;
export const O_CLOEXEC = 0x80000;
export const O_NONBLOCK = 0x800;
export const F_SETFL = 4;
