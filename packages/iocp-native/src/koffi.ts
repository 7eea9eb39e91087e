// koffi, loaded when it is first needed: importing this package must never throw, also where koffi has no binary.

import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { IocpError } from './errors.js';

let loaded: typeof Koffi | undefined;

/** Throws an IocpError (ENOTSUP) when koffi's native part can't be loaded here. */
export function koffi(): typeof Koffi {
  if (loaded) return loaded;
  try {
    loaded = createRequire(import.meta.url)('koffi') as typeof Koffi;
    return loaded;
  } catch (cause) {
    const reason = `koffi does not load: ${(cause as Error).message.split('\n')[0]}`;
    throw new IocpError('call native code', reason, 'ENOTSUP', 'koffi', 0, { cause });
  }
}
