// koffi, loaded when it is first needed: importing this package must never throw, also where koffi has no binary.

import type * as Koffi from 'koffi';
import { IocpError } from '../contract/errors.js';
import { guarded } from './load-guard.js';

let loaded: typeof Koffi | undefined;

/** Throws an IocpError (ENOTSUP) when koffi's native part can't be loaded here. */
export function koffi(): typeof Koffi {
  if (loaded) return loaded;
  try {
    // Asked for in this way, bundlers leave koffi where it is; its native part would not be in the bundle.
    const { createRequire } = process.getBuiltinModule('node:module');
    // A CommonJS bundle has no URL: there koffi is looked for beside the program.
    loaded = guarded(() => createRequire(import.meta.url ?? process.argv[1])('koffi') as typeof Koffi);
    return loaded;
  } catch (cause) {
    const reason = `koffi does not load: ${(cause as Error).message.split('\n')[0]}`;
    throw new IocpError('call native code', reason, 'ENOTSUP', 'koffi', 0, { cause });
  }
}

/** An ArrayBuffer over native memory, which must outlive it. */
export function viewOf(address: number | bigint, size: number): ArrayBuffer {
  return guarded(() => koffi().view(address, size));
}
