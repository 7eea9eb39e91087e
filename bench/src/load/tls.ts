// The load generator for TLS: load/tls.c, compiled at first use with OpenSSL's headers.

import { compiled, declares, whyNotCompiled } from '../compile.js';
import { type HeldConnections, holdWith, MESSAGE_BYTES, spawnLoad } from './load.js';
import type { SizesResult } from './sizes.js';

/** `echo` measures round trips; `new` and `resume` connect for each message, and `resume` resumes a TLS session for it. */
export type TlsMode = 'echo' | 'new' | 'resume';

export interface TlsLoad {
  readonly mode: TlsMode;
  readonly port: number;
  readonly connections: number;
  /** Bytes of a message. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface TlsResult extends SizesResult {
  /** Connections that resumed a TLS session. */
  readonly resumed: number;
}

/** Why the load generator cannot run here, or undefined when it can. */
export function whyNoTls(): string | undefined {
  const reason = whyNotCompiled();
  if (reason !== undefined) return `the load generator cannot run: ${reason}`;
  if (declares('openssl/ssl.h', 'SSL_read')) return undefined;
  return 'the load generator needs the headers of OpenSSL, which Debian has as libssl-dev';
}

export function runTls({ mode, port, connections, bytes, seconds }: TlsLoad): Promise<TlsResult> {
  const args = [mode, port, connections, bytes, seconds].map(String);
  return spawnLoad<TlsResult>(generator(), args, seconds);
}

/** Opens `connections` at once; resolves when their handshakes are done. */
export function holdTls(port: number, connections: number): Promise<HeldConnections> {
  return holdWith(generator(), port, connections, MESSAGE_BYTES);
}

function generator(): string {
  return compiled('load/tls.c', ['ssl', 'crypto']);
}
