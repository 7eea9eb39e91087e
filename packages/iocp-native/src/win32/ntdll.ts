// ntdll.dll: whether a number is the HANDLE of a completion port, the meaning of a status, and the version of Windows.

import { HANDLE, library, POINTER, type Pointer } from './library.js';

const ntdll = library('ntdll.dll');

/** The depth of a completion port's queue. 0 on success; anything else for a handle that is no completion port. */
const NtQueryIoCompletion = ntdll<
  [port: number, informationClass: number, depth: Pointer, size: number, written: Pointer]
>('NtQueryIoCompletion', 'int', HANDLE, 'int', POINTER, 'uint32_t', POINTER);

/** Packets that wait in a completion port; -1 for a handle that is none. */
export function depthOfPort(handle: number): number {
  const depth = Buffer.alloc(4);
  return NtQueryIoCompletion(handle, 0, depth, 4, null) === 0 ? depth.readInt32LE() : -1;
}

/** The Win32 number of an NTSTATUS; 317 (ERROR_MR_MID_NOT_FOUND) for one that has none. (winternl/nf-winternl-rtlntstatustodoserror) */
export const RtlNtStatusToDosError = ntdll<[status: number]>('RtlNtStatusToDosError', 'uint32_t', 'uint32_t');

/** (wdm/nf-wdm-rtlgetversion) */
export const RtlGetVersion = ntdll<[info: Pointer]>('RtlGetVersion', 'int', POINTER);
