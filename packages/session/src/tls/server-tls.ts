// ServerTls: the TLS of one listener in one thread. Its certificates can be replaced: later connections get the new ones.

import { TlsContext } from './context.js';
import type { TlsServerOptions } from './options.js';

export class ServerTls {
  #context: TlsContext;

  /** Throws an IocpError for a certificate or an option that OpenSSL does not take. */
  constructor(options: TlsServerOptions) {
    this.#context = TlsContext.forServer(options);
  }

  get context(): TlsContext {
    return this.#context;
  }

  /** Throws as the constructor does; then the former certificates stay. */
  replace(options: TlsServerOptions): void {
    const context = TlsContext.forServer(options);
    this.#context.free();
    this.#context = context;
  }

  free(): void {
    this.#context.free();
  }
}
