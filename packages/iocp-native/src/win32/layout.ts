// Where the fields of the Win32 structures lie (64-bit), in bytes, and how an event's memory is used:
//
//   0          32                   288                            376
//   OVERLAPPED | up to 16 WSABUFs   | addresses: AcceptEx's output  | unused, to 384
//              |                    | (44 + 44), ConnectEx's target |

import { assertLayout } from '../native/abi.js';
import { koffi } from '../native/koffi.js';

export const OVERLAPPED = { size: 32, Internal: 0, InternalHigh: 8, Offset: 16, OffsetHigh: 20, hEvent: 24 } as const;
export const WSABUF = { size: 16, len: 0, buf: 8 } as const;
export const OVERLAPPED_ENTRY = {
  size: 32,
  lpCompletionKey: 0,
  lpOverlapped: 8,
  Internal: 16,
  dwNumberOfBytesTransferred: 24,
} as const;
export const SOCKADDR_IN = { size: 16, sin_family: 0, sin_port: 2, sin_addr: 4 } as const;
export const SOCKADDR_IN6 = { size: 28, sin6_family: 0, sin6_port: 2, sin6_addr: 8, sin6_scope_id: 24 } as const;
export const OSVERSIONINFOEXW = { size: 284, dwOSVersionInfoSize: 0, wProductType: 282 } as const;
export const WSAPROTOCOL_INFOW = { size: 628, dwServiceFlags1: 0 } as const;

/**
 * A port's own page, in words of 32 bits. `bytes` and `flags`: calls write there. The rest is for the thread that reaps the
 * port after its own thread has ended: how many packets the kernel has still to bring, and the address of the entries, which
 * may hold packets that it has brought and that were not looked at.
 */
export const PAGE = { size: 4096, bytes: 0, flags: 1, pendingPackets: 2, entries: 4 } as const;
/** OVERLAPPED_ENTRYs in a port's block of entries. Their count, a word of 32 bits, follows the last. */
export const ENTRIES = 256;

/** Where in an event the WSABUFs of a send or a receive lie. */
export const EVENT_BUFFERS = 32;
/** Where in an event the addresses of an accept or a connect lie. */
export const EVENT_ADDRESSES = 288;
/** AcceptEx wants 16 bytes more than the address. */
export const ACCEPT_ADDRESS_SIZE = SOCKADDR_IN6.size + 16;

/** Throws an AssertionError when a structure does not lie in memory as the code believes. */
export function assertWin32Layout(): void {
  const { struct, array } = koffi();
  check('OVERLAPPED', OVERLAPPED, {
    Internal: 'uintptr_t',
    InternalHigh: 'uintptr_t',
    Offset: 'uint32_t',
    OffsetHigh: 'uint32_t',
    hEvent: 'void *',
  });
  check('WSABUF', WSABUF, { len: 'uint32_t', buf: 'void *' });
  check('OVERLAPPED_ENTRY', OVERLAPPED_ENTRY, {
    lpCompletionKey: 'uintptr_t',
    lpOverlapped: 'void *',
    Internal: 'uintptr_t',
    dwNumberOfBytesTransferred: 'uint32_t',
  });
  check('sockaddr_in', SOCKADDR_IN, {
    sin_family: 'uint16_t',
    sin_port: 'uint16_t',
    sin_addr: array('uint8_t', 4),
    sin_zero: array('uint8_t', 8),
  });
  check('sockaddr_in6', SOCKADDR_IN6, {
    sin6_family: 'uint16_t',
    sin6_port: 'uint16_t',
    sin6_flowinfo: 'uint32_t',
    sin6_addr: array('uint8_t', 16),
    sin6_scope_id: 'uint32_t',
  });
  check('OSVERSIONINFOEXW', OSVERSIONINFOEXW, {
    dwOSVersionInfoSize: 'uint32_t',
    numbers: array('uint32_t', 4),
    szCSDVersion: array('uint16_t', 128),
    words: array('uint16_t', 3),
    wProductType: 'uint8_t',
    wReserved: 'uint8_t',
  });
  check('WSAPROTOCOL_INFOW', WSAPROTOCOL_INFOW, {
    dwServiceFlags1: 'uint32_t',
    flags: array('uint32_t', 4),
    ProviderId: array('uint8_t', 16),
    dwCatalogEntryId: 'uint32_t',
    ProtocolChain: array('uint32_t', 8),
    integers: array('int32_t', 11),
    szProtocol: array('uint16_t', 256),
  });

  function check(name: string, { size, ...offsets }: { size: number }, fields: Parameters<typeof struct>[0] & object) {
    assertLayout(name, struct(fields as Parameters<typeof struct>[0]), { size, offsets });
  }
}
