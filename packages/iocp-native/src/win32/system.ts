// Which edition of Windows this is, and whether it is Wine.

import { GetModuleHandleW, GetProcAddress } from './kernel32.js';
import { OSVERSIONINFOEXW } from './layout.js';
import { RtlGetVersion } from './ntdll.js';

const VER_NT_WORKSTATION = 1;

let client: boolean | undefined;
let wine: boolean | undefined;

/** An edition for clients (Windows 10 or 11), which performs two TransmitFile operations at a time, of all programs together. */
export function isClientEdition(): boolean {
  client ??= askIsClient();
  return client;
}

/** Whether this is Wine. */
export function isWine(): boolean {
  wine ??= GetProcAddress(GetModuleHandleW(wide('ntdll.dll')), Buffer.from('wine_get_version\0')) !== 0;
  return wine;
}

function askIsClient(): boolean {
  const info = Buffer.alloc(OSVERSIONINFOEXW.size);
  info.writeUInt32LE(info.length, OSVERSIONINFOEXW.dwOSVersionInfoSize);
  // It cannot fail. If it did: reads and sends serve both kinds of editions.
  return RtlGetVersion(info) !== 0 || info[OSVERSIONINFOEXW.wProductType] === VER_NT_WORKSTATION;
}

function wide(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le');
}
