// The numbers of winnt.h, winbase.h, winsock2.h, ws2tcpip.h and mswsock.h that this package uses, by their own names.

export const INVALID_HANDLE_VALUE = -1;
export const INFINITE = 0xffffffff;
/**
 * NumberOfConcurrentThreads of a port that one thread reads: no limit. The kernel counts each thread that ever asked a port
 * as one of its own for as long as that thread runs, and refuses a packet to all when they are too many.
 */
export const ONE_READER = 0xffffffff;

export const ERROR_IO_PENDING = 997;
export const ERROR_OPERATION_ABORTED = 995;
export const ERROR_NOT_FOUND = 1168;
export const ERROR_NETNAME_DELETED = 64;
export const ERROR_INVALID_HANDLE = 6;
export const ERROR_INVALID_PARAMETER = 87;
export const ERROR_ACCESS_DENIED = 5;
export const ERROR_NOT_SUPPORTED = 50;
export const ERROR_BROKEN_PIPE = 109;
export const ERROR_NO_DATA = 232;
export const ERROR_PIPE_BUSY = 231;
export const ERROR_PIPE_CONNECTED = 535;
export const STATUS_PENDING = 0x103;
export const STATUS_PIPE_BROKEN = 0xc000014b;
export const STATUS_CONNECTION_RESET = 0xc000020d;
export const WAIT_OBJECT_0 = 0;
export const WAIT_TIMEOUT = 258;
export const MAXIMUM_WAIT_OBJECTS = 64;
export const WAIT_FAILED = 0xffffffff;
export const WSA_IO_PENDING = 997;
export const WSAEWOULDBLOCK = 10035;
export const WSAEMSGSIZE = 10040;
export const WSAENOPROTOOPT = 10042;
export const WSAEAFNOSUPPORT = 10047;
export const WSAEADDRINUSE = 10048;
export const WSAECONNABORTED = 10053;
export const WSAECONNRESET = 10054;
export const WSAECONNREFUSED = 10061;

export const FILE_SKIP_COMPLETION_PORT_ON_SUCCESS = 1;
export const FILE_SKIP_SET_EVENT_ON_HANDLE = 2;

export const SYNCHRONIZE = 0x00100000;
export const GENERIC_READ = 0x80000000;
export const FILE_SHARE_ALL = 7;
export const GENERIC_READ_WRITE = 0xc0000000;
export const OPEN_EXISTING = 3;
export const FILE_FLAG_OVERLAPPED = 0x40000000;
export const FILE_FLAG_FIRST_PIPE_INSTANCE = 0x00080000;
export const SECURITY_SQOS_PRESENT = 0x00100000;
export const SECURITY_IDENTIFICATION = 0x00010000;
export const PIPE_ACCESS_DUPLEX = 3;
export const PIPE_REJECT_REMOTE_CLIENTS = 8;
export const PIPE_UNLIMITED_INSTANCES = 255;

export const MEM_COMMIT = 0x1000;
export const MEM_RESERVE = 0x2000;
export const MEM_DECOMMIT = 0x4000;
export const MEM_RELEASE = 0x8000;
export const PAGE_READWRITE = 4;

export const INVALID_SOCKET = -1;
export const AF_INET = 2;
export const AF_INET6 = 23;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const WSA_FLAG_OVERLAPPED = 0x01;
export const WSA_FLAG_NO_HANDLE_INHERIT = 0x80;
export const SD_SEND = 1;
export const SIO_GET_EXTENSION_FUNCTION_POINTER = 0xc8000006;
export const SIO_UDP_CONNRESET = 0x9800000c;
export const SIO_UDP_NETRESET = 0x9800000f;
export const SIO_KEEPALIVE_VALS = 0x98000004;
export const SIO_TCP_INITIAL_RTO = 0x98000011;
/** As a signed number, as ioctlsocket takes it. */
export const FIONBIO = 0x8004667e | 0;

export const SOL_SOCKET = 0xffff;
export const SO_EXCLUSIVEADDRUSE = ~4;
export const SO_KEEPALIVE = 8;
export const SO_BROADCAST = 0x20;
export const SO_SNDBUF = 0x1001;
export const SO_RCVBUF = 0x1002;
export const SO_LINGER = 0x80;
export const SO_PROTOCOL_INFOW = 0x2005;
export const SO_UPDATE_ACCEPT_CONTEXT = 0x700b;
export const SO_UPDATE_CONNECT_CONTEXT = 0x7010;
export const TCP_NODELAY = 1;
/** Seconds of idleness before the first probe; also called TCP_KEEPIDLE. */
export const TCP_KEEPALIVE = 3;
/** These two since Windows 10 1709; before, setsockopt says WSAENOPROTOOPT. */
export const TCP_KEEPCNT = 16;
export const TCP_KEEPINTVL = 17;
export const IPV6_V6ONLY = 27;
/** WSAPROTOCOL_INFOW.dwServiceFlags1: handles of this provider are real ones of the file system. */
export const XP1_IFS_HANDLES = 0x00020000;
export const TF_REUSE_SOCKET = 2;
export const SOMAXCONN = 200;
