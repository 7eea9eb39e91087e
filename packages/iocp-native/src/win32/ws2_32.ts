// ws2_32.dll: sockets, by their own names, and the extension functions of the TCP provider. Each page is under
// https://learn.microsoft.com/windows/win32/api/ at the path that its docstring names.

import {
  AF_INET,
  INVALID_SOCKET,
  IPPROTO_TCP,
  SIO_GET_EXTENSION_FUNCTION_POINTER,
  SOCK_STREAM,
  WSA_FLAG_OVERLAPPED,
} from './constants.js';
import { win32Error } from './errors.js';
import {
  ADDRESS,
  type Address,
  functionAt,
  HANDLE,
  type Handle,
  library,
  POINTER,
  type Pointer,
  type Raw,
  raw,
  type Values,
} from './library.js';

const ws2_32 = library('ws2_32.dll');

/** Gives an error number itself; `data` is a WSADATA, 408 bytes. (winsock/nf-winsock-wsastartup) */
export const WSAStartup = ws2_32<[version: number, data: Pointer]>('WSAStartup', 'int', 'uint16_t', POINTER);

/** The last socket error of this thread. Read it at once. (winsock/nf-winsock-wsagetlasterror) */
export const WSAGetLastError = ws2_32<[]>('WSAGetLastError', 'int');

/** A new socket, or -1. WSAEMFILE, WSAENOBUFS, WSAEAFNOSUPPORT ... (winsock2/nf-winsock2-wsasocketw) */
export const WSASocketW = ws2_32<
  [family: number, type: number, protocol: number, info: Pointer, group: number, flags: number]
>('WSASocketW', HANDLE, 'int', 'int', 'int', POINTER, 'uint32_t', 'uint32_t');

/** WSAEADDRINUSE, WSAEADDRNOTAVAIL, WSAEACCES ... (winsock/nf-winsock-bind) */
export const bind = ws2_32<[socket: Handle, address: Pointer, length: number]>('bind', 'int', HANDLE, POINTER, 'int');

/** (winsock2/nf-winsock2-listen) */
export const listen = ws2_32<[socket: Handle, backlog: number]>('listen', 'int', HANDLE, 'int');

/**
 * Receives into WSABUFs, which are read during the call; the memory that they name must stay until the packet is dequeued.
 * -1 with WSA_IO_PENDING (997) is no failure. (winsock2/nf-winsock2-wsarecv)
 */
export const WSARecv = ws2_32<
  [
    socket: Handle,
    buffers: Pointer,
    count: number,
    received: Pointer,
    flags: Pointer,
    overlapped: Address,
    routine: Address,
  ]
>('WSARecv', 'int', HANDLE, POINTER, 'uint32_t', POINTER, POINTER, ADDRESS, ADDRESS);

/**
 * Receives at once, on a socket that does not wait; -1 with WSAEWOULDBLOCK when there is nothing. It has no packet. (winsock/nf-winsock-recv)
 */
export const recv = ws2_32<[socket: Handle, into: Address, length: number, flags: number]>(
  'recv',
  'int',
  HANDLE,
  ADDRESS,
  'int',
  'int',
);

/** Sends as much as Winsock takes at once, as above. The memory is read during the call only. (winsock2/nf-winsock2-send) */
export const send = ws2_32<[socket: Handle, from: Address, length: number, flags: number]>(
  'send',
  'int',
  HANDLE,
  ADDRESS,
  'int',
  'int',
);

/** Sends WSABUFs in order. -1 with WSA_IO_PENDING (997) is no failure. (winsock2/nf-winsock2-wsasend) */
export const WSASend = ws2_32<
  [socket: Handle, buffers: Pointer, count: number, sent: Pointer, flags: number, overlapped: Address, routine: Address]
>('WSASend', 'int', HANDLE, POINTER, 'uint32_t', POINTER, 'uint32_t', ADDRESS, ADDRESS);

/**
 * Receives one datagram into WSABUFs, and its sender's address. The address and its length are written when the datagram
 * is there: they must stay until the packet is dequeued. Without an overlapped it is an ordinary call.
 * (winsock2/nf-winsock2-wsarecvfrom)
 */
export const WSARecvFrom = ws2_32<
  [
    socket: Handle,
    buffers: Pointer,
    count: number,
    received: Pointer,
    flags: Pointer,
    from: Pointer,
    fromLength: Pointer,
    overlapped: Address,
    routine: Address,
  ]
>('WSARecvFrom', 'int', HANDLE, POINTER, 'uint32_t', POINTER, POINTER, POINTER, POINTER, ADDRESS, ADDRESS);

/** Sends WSABUFs as one datagram; on a connected socket `to` may be NULL. (winsock2/nf-winsock2-wsasendto) */
export const WSASendTo = ws2_32<
  [
    socket: Handle,
    buffers: Pointer,
    count: number,
    sent: Pointer,
    flags: number,
    to: Pointer,
    toLength: number,
    overlapped: Address,
    routine: Address,
  ]
>('WSASendTo', 'int', HANDLE, POINTER, 'uint32_t', POINTER, 'uint32_t', POINTER, 'int', ADDRESS, ADDRESS);

/** Here for datagram sockets, where it does not wait. (winsock2/nf-winsock2-connect) */
export const connect = ws2_32<[socket: Handle, address: Pointer, length: number]>(
  'connect',
  'int',
  HANDLE,
  POINTER,
  'int',
);

/** FIONBIO: whether ordinary calls fail with WSAEWOULDBLOCK instead of waiting. (winsock/nf-winsock-ioctlsocket) */
export const ioctlsocket = ws2_32<[socket: Handle, command: number, argument: Pointer]>(
  'ioctlsocket',
  'int',
  HANDLE,
  'int32_t',
  POINTER,
);

/** (winsock2/nf-winsock2-wsaioctl) */
export const WSAIoctl = ws2_32<
  [
    socket: Handle,
    code: number,
    input: Pointer,
    inputLength: number,
    output: Pointer,
    outputLength: number,
    returned: Pointer,
    overlapped: Address,
    routine: Address,
  ]
>('WSAIoctl', 'int', HANDLE, 'uint32_t', POINTER, 'uint32_t', POINTER, 'uint32_t', POINTER, ADDRESS, ADDRESS);

/** SD_SEND (1) sends FIN. (winsock/nf-winsock-shutdown) */
export const shutdown = ws2_32<[socket: Handle, how: number]>('shutdown', 'int', HANDLE, 'int');

/** (winsock/nf-winsock-closesocket) */
export const closesocket = ws2_32<[socket: Handle]>('closesocket', 'int', HANDLE);

/** (winsock/nf-winsock-setsockopt) */
export const setsockopt = ws2_32<[socket: Handle, level: number, name: number, value: Pointer, length: number]>(
  'setsockopt',
  'int',
  HANDLE,
  'int',
  'int',
  POINTER,
  'int',
);

/** (winsock/nf-winsock-getsockopt) */
export const getsockopt = ws2_32<[socket: Handle, level: number, name: number, value: Pointer, length: Pointer]>(
  'getsockopt',
  'int',
  HANDLE,
  'int',
  'int',
  POINTER,
  POINTER,
);

/** (winsock/nf-winsock-getsockname) */
export const getsockname = ws2_32<[socket: Handle, address: Pointer, length: Pointer]>(
  'getsockname',
  'int',
  HANDLE,
  POINTER,
  POINTER,
);

/** (winsock/nf-winsock-getpeername) */
export const getpeername = ws2_32<[socket: Handle, address: Pointer, length: Pointer]>(
  'getpeername',
  'int',
  HANDLE,
  POINTER,
  POINTER,
);

/**
 * Accepts into a socket that exists. The address lengths are those of the sockaddr plus 16 each. 0 with
 * ERROR_IO_PENDING (997) is no failure. (mswsock/nf-mswsock-acceptex)
 */
export const AcceptEx = extension<
  [
    listener: Handle,
    socket: Handle,
    output: Address,
    receive: number,
    localLength: number,
    remoteLength: number,
    received: Pointer,
    overlapped: Address,
  ]
>('AcceptEx', 'f17d36b5accbcf1195ca00805f48a192', 'int', [
  HANDLE,
  HANDLE,
  ADDRESS,
  'uint32_t',
  'uint32_t',
  'uint32_t',
  POINTER,
  ADDRESS,
]);

/** Finds the two addresses in AcceptEx's output, as pointers into it. (mswsock/nf-mswsock-getacceptexsockaddrs) */
export const GetAcceptExSockaddrs = extension<
  [
    output: Address,
    receive: number,
    localLength: number,
    remoteLength: number,
    local: Pointer,
    localFound: Pointer,
    remote: Pointer,
    remoteFound: Pointer,
  ]
>('GetAcceptExSockaddrs', 'f27d36b5accbcf1195ca00805f48a192', 'void', [
  ADDRESS,
  'uint32_t',
  'uint32_t',
  'uint32_t',
  POINTER,
  POINTER,
  POINTER,
  POINTER,
]);

/** Connects a socket that is bound. 0 with ERROR_IO_PENDING (997) is no failure. (mswsock/nc-mswsock-lpfn_connectex) */
export const ConnectEx = extension<
  [
    socket: Handle,
    address: Pointer,
    length: number,
    data: Address,
    dataLength: number,
    sent: Pointer,
    overlapped: Address,
  ]
>('ConnectEx', 'b907a225f3dd60468ee976e58c74063e', 'int', [
  HANDLE,
  POINTER,
  'int',
  ADDRESS,
  'uint32_t',
  POINTER,
  ADDRESS,
]);

/**
 * Sends a file from OVERLAPPED.Offset. 0 with ERROR_IO_PENDING (997) is no failure. Windows for clients performs two at a
 * time, and the others after them. (mswsock/nf-mswsock-transmitfile)
 */
export const TransmitFile = extension<
  [socket: Handle, file: Handle, length: number, perSend: number, overlapped: Address, buffers: Address, flags: number]
>('TransmitFile', 'f07d36b5accbcf1195ca00805f48a192', 'int', [
  HANDLE,
  HANDLE,
  'uint32_t',
  'uint32_t',
  ADDRESS,
  ADDRESS,
  'uint32_t',
]);

/** Disconnects; with TF_REUSE_SOCKET (2) the socket can serve AcceptEx again. (mswsock/nc-mswsock-lpfn_disconnectex) */
export const DisconnectEx = extension<[socket: Handle, overlapped: Address, flags: number, reserved: number]>(
  'DisconnectEx',
  '112eda7f30866f43a031f536a6eec157',
  'int',
  [HANDLE, ADDRESS, 'uint32_t', 'uint32_t'],
);

/** An extension function: not exported, but known to the provider under a GUID. */
function extension<A extends Values>(name: string, guid: string, result: string, parameters: string[]): Raw<A> {
  return raw(name, () => {
    const socket = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, null, 0, WSA_FLAG_OVERLAPPED);
    if (socket === INVALID_SOCKET) throw win32Error(`find ${name}`, 'WSASocketW', WSAGetLastError());
    const found = Buffer.alloc(8);
    const code = SIO_GET_EXTENSION_FUNCTION_POINTER;
    const failed = WSAIoctl(socket, code, Buffer.from(guid, 'hex'), 16, found, 8, Buffer.alloc(4), 0, 0);
    const errno = failed === 0 ? 0 : WSAGetLastError();
    closesocket(socket);
    if (errno !== 0) throw win32Error(`find ${name}`, 'WSAIoctl', errno);
    return functionAt(found.readBigUInt64LE(0), result, parameters);
  });
}
