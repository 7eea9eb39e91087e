// kernel32.dll: completion ports and memory, by their own names. Each page is under
// https://learn.microsoft.com/windows/win32/api/ at the path that its docstring names.

import { ADDRESS, type Address, HANDLE, type Handle, library, POINTER, type Pointer } from './library.js';

const kernel32 = library('kernel32.dll');

/**
 * Makes a port (`file` -1, `existing` 0), or associates a handle with one. Gives 0, not -1, on failure.
 * ERROR_INVALID_PARAMETER (87) when the handle has a port already. (ioapiset/nf-ioapiset-createiocompletionport)
 */
export const CreateIoCompletionPort = kernel32<[file: Handle, existing: Handle, key: number, concurrency: number]>(
  'CreateIoCompletionPort',
  HANDLE,
  HANDLE,
  HANDLE,
  ADDRESS,
  'uint32_t',
);

/**
 * Takes one packet. On 0 with a NULL overlapped there was no packet (WAIT_TIMEOUT, ERROR_ABANDONED_WAIT_0); on 0 with
 * an overlapped, its operation failed with GetLastError(). (ioapiset/nf-ioapiset-getqueuedcompletionstatus)
 */
export const GetQueuedCompletionStatus = kernel32<
  [port: Handle, bytes: Pointer, key: Pointer, overlapped: Pointer, milliseconds: number]
>('GetQueuedCompletionStatus', 'int', HANDLE, POINTER, POINTER, POINTER, 'uint32_t');

/**
 * Takes up to `count` packets into OVERLAPPED_ENTRY records. 1 says only that there are some: each has its own status.
 * On 0 (WAIT_TIMEOUT, ...) the number in `removed` means nothing. For `.async`, both must be addresses of native
 * memory. (ioapiset/nf-ioapiset-getqueuedcompletionstatusex)
 */
export const GetQueuedCompletionStatusEx = kernel32<
  [port: Handle, entries: Pointer, count: number, removed: Pointer, milliseconds: number, alertable: number]
>('GetQueuedCompletionStatusEx', 'int', HANDLE, POINTER, 'uint32_t', POINTER, 'uint32_t', 'int');

/** Queues a packet. `overlapped` is handed through and never followed. (ioapiset/nf-ioapiset-postqueuedcompletionstatus) */
export const PostQueuedCompletionStatus = kernel32<[port: Handle, bytes: number, key: number, overlapped: Address]>(
  'PostQueuedCompletionStatus',
  'int',
  HANDLE,
  'uint32_t',
  ADDRESS,
  ADDRESS,
);

/**
 * Asks for one operation of a handle, or with 0 for all of them, to end early: each still gives its packet. Fails with
 * ERROR_NOT_FOUND (1168) when there is nothing to cancel. (ioapiset/nf-ioapiset-cancelioex)
 */
export const CancelIoEx = kernel32<[file: Handle, overlapped: Address]>('CancelIoEx', 'int', HANDLE, ADDRESS);

/**
 * FILE_SKIP_COMPLETION_PORT_ON_SUCCESS (1) and FILE_SKIP_SET_EVENT_ON_HANDLE (2). Cannot be undone.
 * (winbase/nf-winbase-setfilecompletionnotificationmodes)
 */
export const SetFileCompletionNotificationModes = kernel32<[file: Handle, modes: number]>(
  'SetFileCompletionNotificationModes',
  'int',
  HANDLE,
  'uint8_t',
);

/**
 * A new instance of a named pipe; `name` is UTF-16, with its end. Gives -1 on failure: ERROR_ACCESS_DENIED (5) when
 * FILE_FLAG_FIRST_PIPE_INSTANCE is not met. (namedpipeapi/nf-namedpipeapi-createnamedpipew)
 */
export const CreateNamedPipeW = kernel32<
  [
    name: Pointer,
    openMode: number,
    pipeMode: number,
    most: number,
    out: number,
    into: number,
    timeout: number,
    security: Pointer,
  ]
>('CreateNamedPipeW', HANDLE, POINTER, 'uint32_t', 'uint32_t', 'uint32_t', 'uint32_t', 'uint32_t', 'uint32_t', POINTER);

/**
 * Waits for a client. 0 with ERROR_IO_PENDING (997) is no failure, nor is it with ERROR_PIPE_CONNECTED (535), for which no
 * packet comes: the client was there already. (namedpipeapi/nf-namedpipeapi-connectnamedpipe)
 */
export const ConnectNamedPipe = kernel32<[pipe: Handle, overlapped: Address]>(
  'ConnectNamedPipe',
  'int',
  HANDLE,
  ADDRESS,
);

/** Breaks off an instance; bytes that the client has not read are discarded. (namedpipeapi/nf-namedpipeapi-disconnectnamedpipe) */
export const DisconnectNamedPipe = kernel32<[pipe: Handle]>('DisconnectNamedPipe', 'int', HANDLE);

/**
 * Opens a pipe, among others; `name` as above. -1 with ERROR_PIPE_BUSY (231) when no instance is free.
 * (fileapi/nf-fileapi-createfilew)
 */
export const CreateFileW = kernel32<
  [
    name: Pointer,
    access: number,
    share: number,
    security: Pointer,
    disposition: number,
    flags: number,
    template: Handle,
  ]
>('CreateFileW', HANDLE, POINTER, 'uint32_t', 'uint32_t', POINTER, 'uint32_t', 'uint32_t', HANDLE);

/** Another handle of a file that is open, with flags of its own; -1 on failure. (winbase/nf-winbase-reopenfile) */
export const ReOpenFile = kernel32<[original: Handle, access: number, share: number, flags: number]>(
  'ReOpenFile',
  HANDLE,
  HANDLE,
  'uint32_t',
  'uint32_t',
  'uint32_t',
);

/** 0 with ERROR_IO_PENDING (997) is no failure. (fileapi/nf-fileapi-readfile) */
export const ReadFile = kernel32<[file: Handle, into: Address, length: number, read: Pointer, overlapped: Address]>(
  'ReadFile',
  'int',
  HANDLE,
  ADDRESS,
  'uint32_t',
  POINTER,
  ADDRESS,
);

/** 0 with ERROR_IO_PENDING (997) is no failure. (fileapi/nf-fileapi-writefile) */
export const WriteFile = kernel32<[file: Handle, from: Address, length: number, written: Pointer, overlapped: Address]>(
  'WriteFile',
  'int',
  HANDLE,
  ADDRESS,
  'uint32_t',
  POINTER,
  ADDRESS,
);

/** Closes a port, among others. It cancels nothing. (handleapi/nf-handleapi-closehandle) */
export const CloseHandle = kernel32<[handle: Handle]>('CloseHandle', 'int', HANDLE);

/**
 * Waits until one of several objects is signalled; WAIT_TIMEOUT (258) when none is in time. A completion port is
 * signalled while it has packets. (synchapi/nf-synchapi-waitformultipleobjects, which does not name ports among the
 * objects that it waits for, but Windows and Wine do)
 */
export const WaitForMultipleObjects = kernel32<[count: number, handles: Pointer, all: number, milliseconds: number]>(
  'WaitForMultipleObjects',
  'uint32_t',
  'uint32_t',
  POINTER,
  'int',
  'uint32_t',
);

/** The same for one object; with 0 milliseconds, whether it is signalled. (synchapi/nf-synchapi-waitforsingleobject) */
export const WaitForSingleObject = kernel32<[object: Handle, milliseconds: number]>(
  'WaitForSingleObject',
  'uint32_t',
  HANDLE,
  'uint32_t',
);

/** The number of the calling thread, which names it until it has ended. (processthreadsapi/nf-processthreadsapi-getcurrentthreadid) */
export const GetCurrentThreadId = kernel32<[]>('GetCurrentThreadId', 'uint32_t');

/**
 * A handle of a thread. 0 on failure: ERROR_INVALID_PARAMETER (87) if the number names no thread.
 * (processthreadsapi/nf-processthreadsapi-openthread)
 */
export const OpenThread = kernel32<[access: number, inherit: number, thread: number]>(
  'OpenThread',
  HANDLE,
  'uint32_t',
  'int',
  'uint32_t',
);

/**
 * Has a thread of the system's pool wait for an object, and call `callback`, the address of a function of the context and
 * a BOOLEAN. The handle that it writes to `wait` is for UnregisterWaitEx, also when the wait is over.
 * (winbase/nf-winbase-registerwaitforsingleobject)
 */
export const RegisterWaitForSingleObject = kernel32<
  [wait: Pointer, object: Handle, callback: Address, context: Address, milliseconds: number, flags: number]
>('RegisterWaitForSingleObject', 'int', POINTER, HANDLE, ADDRESS, ADDRESS, 'uint32_t', 'uint32_t');

/**
 * With -1 as the event it returns when no callback is running or will run; with 0 at once, and fails with
 * ERROR_IO_PENDING while one is. (threadpoollegacyapiset/nf-threadpoollegacyapiset-unregisterwaitex)
 */
export const UnregisterWaitEx = kernel32<[wait: Address, event: Handle]>('UnregisterWaitEx', 'int', ADDRESS, HANDLE);

/** Gives 0 on failure. (synchapi/nf-synchapi-createeventw) */
export const CreateEventW = kernel32<[security: Pointer, manualReset: number, initial: number, name: Pointer]>(
  'CreateEventW',
  HANDLE,
  POINTER,
  'int',
  'int',
  POINTER,
);

/** The module of a name (UTF-16, with its end) that is loaded, or of the program; 0 for none. (libloaderapi/nf-libloaderapi-getmodulehandlew) */
export const GetModuleHandleW = kernel32<[name: Pointer]>('GetModuleHandleW', ADDRESS, POINTER);

/** The address of a module's export, by its name (bytes, with their end); 0 for none. (libloaderapi/nf-libloaderapi-getprocaddress) */
export const GetProcAddress = kernel32<[module: Address, name: Pointer]>('GetProcAddress', ADDRESS, ADDRESS, POINTER);

/** The last error of this thread. Read it at once. (errhandlingapi/nf-errhandlingapi-getlasterror) */
export const GetLastError = kernel32<[]>('GetLastError', 'uint32_t');

/** Reserves or commits pages, which read as zeros. 0 on failure. (memoryapi/nf-memoryapi-virtualalloc) */
export const VirtualAlloc = kernel32<[at: Address, size: number, type: number, protection: number]>(
  'VirtualAlloc',
  ADDRESS,
  ADDRESS,
  'size_t',
  'uint32_t',
  'uint32_t',
);

/** Decommits or releases pages. (memoryapi/nf-memoryapi-virtualfree) */
export const VirtualFree = kernel32<[at: Address, size: number, type: number]>(
  'VirtualFree',
  'int',
  ADDRESS,
  'size_t',
  'uint32_t',
);
