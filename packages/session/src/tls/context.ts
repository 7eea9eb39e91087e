// TlsContext: the certificates, limits and callbacks that the connections of one listener or connector share (an SSL_CTX).

import { IocpError } from '@overlapped/iocp-native';
import { nodeCrypto, nodeTls } from '../builtin.js';
import * as lib from './openssl.js';
import { type Address, type OpenSsl, openSsl, takeError } from './openssl.js';
import type { Pem, TlsClientOptions, TlsCredentials, TlsServerOptions, TlsVersion } from './options.js';

const VERSIONS: Readonly<Record<TlsVersion, number>> = { 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 };
const DEFAULT_HANDSHAKE_TIMEOUT = 120_000;
const DEFAULT_SESSION_TIMEOUT = 300;
/** Bytes of ticketKeys of node:tls, and of OpenSSL's own keys, which are derived from them. */
export const TICKET_KEYS = 48;
const OPENSSL_TICKET_KEYS = 80;
/** Limit of the sessions that a connector keeps to be resumed. */
const MAX_SESSIONS = 64;

/** Contexts and engines that have not been freed, for tests. */
export const live = { contexts: 0, engines: 0 };

/** Frees the contexts of connectors that were garbage-collected. */
const forgotten = new FinalizationRegistry<ContextHandle>((handle) => handle.free());

/** An SSL_CTX that is freed once. */
class ContextHandle {
  readonly address: Address;
  #freed = false;

  constructor(ssl: OpenSsl, server: boolean) {
    this.address = owned(
      ssl,
      ssl.SSL_CTX_new(server ? ssl.TLS_server_method() : ssl.TLS_client_method()),
      'SSL_CTX_new',
    );
    live.contexts++;
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    live.contexts--;
    openSsl().SSL_CTX_free(this.address);
  }
}

export class TlsContext {
  readonly server: boolean;
  readonly handshakeTimeout: number;
  readonly rejectUnauthorized: boolean;
  /** A server asks for a certificate; a client always does. */
  readonly requestCert: boolean;
  readonly servername: string | undefined;
  /** The protocols of ALPN, as they are sent: each after its length. */
  readonly protocols: Buffer | null;
  readonly #handles: ContextHandle[] = [];
  /** The contexts of other names. */
  readonly #named = new Map<string, Address>();
  /** A client's sessions that can be resumed, by the server's name. Each holds a reference. */
  readonly #sessions = new Map<string, Address>();
  #freed = false;

  private constructor(server: boolean, options: TlsServerOptions & TlsClientOptions) {
    const ssl = openSsl();
    this.server = server;
    this.handshakeTimeout = options.handshakeTimeout ?? DEFAULT_HANDSHAKE_TIMEOUT;
    this.rejectUnauthorized = options.rejectUnauthorized !== false;
    this.requestCert = !server || options.requestCert === true;
    this.servername = options.servername;
    this.protocols = options.ALPNProtocols ? protocolList(options.ALPNProtocols) : null;
    const keys = server ? (options.ticketKeys ?? nodeCrypto().randomBytes(TICKET_KEYS)) : null;
    ssl.ERR_clear_error();
    try {
      this.#add(ssl, options, options, keys);
      for (const [name, credentials] of Object.entries(options.contexts ?? {})) {
        this.#named.set(name.toLowerCase(), this.#add(ssl, options, credentials, keys));
      }
    } catch (error) {
      this.free();
      throw error;
    }
    for (const handle of this.#handles) forgotten.register(this, handle, this);
  }

  static forServer(options: TlsServerOptions): TlsContext {
    return new TlsContext(true, options);
  }

  static forClient(options: TlsClientOptions): TlsContext {
    return new TlsContext(false, options);
  }

  /** Throws an IocpError (ECANCELED) if it has been freed: no connection may be made of it. */
  get address(): Address {
    if (this.#freed)
      throw new IocpError('do the TLS handshake', 'the listener or connector has stopped', 'ECANCELED', 'SSL_new');
    return this.#handles[0]!.address;
  }

  /** The context for a name that a client asks for; 0 if it is the default. */
  named(servername: string): Address {
    if (this.#named.size === 0) return 0;
    const name = servername.toLowerCase();
    return this.#named.get(name) ?? this.#named.get(`*${name.slice(name.indexOf('.'))}`) ?? 0;
  }

  /** The session of the last connection to a server; 0 if there is none. */
  sessionOf(server: string): Address {
    return this.#sessions.get(server) ?? 0;
  }

  /** Keeps a session to be resumed. Its reference is the context's from now on. */
  keepSession(server: string, session: Address): void {
    const ssl = openSsl();
    if (this.#freed) {
      ssl.SSL_SESSION_free(session);
      return;
    }
    const [oldest] = this.#sessions.keys();
    const replaced = this.#sessions.has(server) ? server : this.#sessions.size >= MAX_SESSIONS ? oldest : undefined;
    if (replaced !== undefined) {
      ssl.SSL_SESSION_free(this.#sessions.get(replaced)!);
      this.#sessions.delete(replaced);
    }
    this.#sessions.set(server, session);
  }

  /** Connections that are open keep their context. */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    for (const session of this.#sessions.values()) openSsl().SSL_SESSION_free(session);
    this.#sessions.clear();
    for (const handle of this.#handles) handle.free();
    forgotten.unregister(this);
  }

  #add(ssl: OpenSsl, options: TlsServerOptions, credentials: TlsCredentials, keys: Uint8Array | null): Address {
    const handle = new ContextHandle(ssl, this.server);
    this.#handles.push(handle);
    const context = handle.address;
    const { minVersion = 'TLSv1.2', maxVersion = 'TLSv1.3', ciphers = nodeTls().DEFAULT_CIPHERS } = options;
    must(ssl, ssl.SSL_CTX_ctrl(context, lib.SSL_CTRL_SET_MIN_PROTO_VERSION, VERSIONS[minVersion], null));
    must(ssl, ssl.SSL_CTX_ctrl(context, lib.SSL_CTRL_SET_MAX_PROTO_VERSION, VERSIONS[maxVersion], null));
    ssl.SSL_CTX_set_options(
      context,
      lib.SSL_OP_NO_RENEGOTIATION | lib.SSL_OP_NO_COMPRESSION | lib.SSL_OP_CIPHER_SERVER_PREFERENCE,
    );
    ssl.SSL_CTX_ctrl(context, lib.SSL_CTRL_MODE, lib.SSL_MODE_RELEASE_BUFFERS, null);
    setCiphers(ssl, context, ciphers);
    setAlgorithms(ssl, context, options);
    useCredentials(ssl, context, credentials);
    this.#trust(ssl, context, options, credentials);
    if (this.server) this.#serve(ssl, context, options, keys!);
    else {
      ssl.SSL_CTX_ctrl(context, lib.SSL_CTRL_SET_SESS_CACHE_MODE, lib.SSL_SESS_CACHE_OFF, null);
      if (this.protocols !== null) {
        // This function alone returns 0 for success.
        if (ssl.SSL_CTX_set_alpn_protos(context, this.protocols, this.protocols.length) !== 0) {
          throw takeError(ssl, 'offer the ALPN protocols', 'SSL_CTX_set_alpn_protos');
        }
      }
    }
    return context;
  }

  #trust(ssl: OpenSsl, context: Address, { ca, crl }: TlsServerOptions, credentials: TlsCredentials): void {
    const authorities = usePfx(ssl, context, credentials);
    try {
      if (ca !== undefined) authorities.push(...certificatesOf(ssl, ca, 'ca'));
      if (authorities.length > 0 || crl !== undefined) {
        // Beside those of a PFX alone, Node's own authorities are trusted.
        const store = ca === undefined ? newRootStore(ssl) : owned(ssl, ssl.X509_STORE_new(), 'X509_STORE_new');
        // The context owns the store from now on.
        ssl.SSL_CTX_set_cert_store(context, store);
        for (const certificate of authorities) {
          must(ssl, ssl.X509_STORE_add_cert(store, certificate));
          if (this.server) must(ssl, ssl.SSL_CTX_add_client_CA(context, certificate));
        }
        if (crl !== undefined) revoke(ssl, store, crl);
      } else if (this.requestCert) {
        roots ||= newRootStore(ssl);
        must(ssl, ssl.X509_STORE_up_ref(roots));
        ssl.SSL_CTX_set_cert_store(context, roots);
      }
    } finally {
      for (const certificate of authorities) ssl.X509_free(certificate);
    }
    if (!this.requestCert) return;
    const { acceptAny, verify } = callbacks(ssl);
    const asks = this.server || this.rejectUnauthorized ? lib.SSL_VERIFY_PEER : lib.SSL_VERIFY_NONE;
    const insists = this.rejectUnauthorized ? lib.SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    ssl.SSL_CTX_set_verify(context, asks | insists, acceptAny);
    if (this.rejectUnauthorized) ssl.SSL_CTX_set_cert_verify_callback(context, verify, null);
  }

  #serve(ssl: OpenSsl, context: Address, options: TlsServerOptions, keys: Uint8Array): void {
    const cache = lib.SSL_SESS_CACHE_SERVER | lib.SSL_SESS_CACHE_NO_INTERNAL;
    ssl.SSL_CTX_ctrl(context, lib.SSL_CTRL_SET_SESS_CACHE_MODE, cache, null);
    ssl.SSL_CTX_set_timeout(context, options.sessionTimeout ?? DEFAULT_SESSION_TIMEOUT);
    const id = Buffer.from('overlapped');
    must(ssl, ssl.SSL_CTX_set_session_id_context(context, id, id.length));
    const derived = new Uint8Array(
      nodeCrypto().hkdfSync('sha256', keys, '', 'overlapped tickets', OPENSSL_TICKET_KEYS),
    );
    must(ssl, ssl.SSL_CTX_ctrl(context, lib.SSL_CTRL_SET_TLSEXT_TICKET_KEYS, OPENSSL_TICKET_KEYS, derived));
    if (options.dhparam !== undefined) useDhParameters(ssl, context, options.dhparam);
    if (this.protocols !== null) ssl.SSL_CTX_set_alpn_select_cb(context, callbacks(ssl).selectProtocol, null);
    if (options.contexts !== undefined) {
      ssl.SSL_CTX_callback_ctrl(context, lib.SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, callbacks(ssl).selectContext);
    }
  }
}

/** The connection whose handshake runs: OpenSSL's callbacks work on it. */
export const handshaking = { context: null as TlsContext | null };

let registered: { acceptAny: bigint; verify: bigint; selectProtocol: bigint; selectContext: bigint } | undefined;

/** OpenSSL's callbacks. They run within a call of this thread, and must not throw. */
function callbacks(ssl: OpenSsl) {
  registered ??= {
    acceptAny: ssl.callback(['int', 'intptr_t'], () => 1),
    // All faults of a chain are looked at, and the last is the result, as in node:tls, which only then refuses.
    verify: ssl.callback(['intptr_t', 'intptr_t'], (store) =>
      ssl.X509_verify_cert(store!) > 0 && ssl.X509_STORE_CTX_get_error(store!) === 0 ? 1 : 0,
    ),
    selectProtocol: ssl.callback(
      ['intptr_t', 'intptr_t', 'intptr_t', 'intptr_t', 'unsigned int', 'intptr_t'],
      (_ssl, out, outLength, theirs, length) => {
        const own = handshaking.context?.protocols;
        if (!own) return lib.SSL_TLSEXT_ERR_NOACK;
        const chosen = ssl.SSL_select_next_proto(out!, outLength!, own, own.length, theirs!, length!);
        return chosen === lib.OPENSSL_NPN_NEGOTIATED ? lib.SSL_TLSEXT_ERR_OK : lib.SSL_TLSEXT_ERR_ALERT_FATAL;
      },
    ),
    selectContext: ssl.callback(['intptr_t', 'intptr_t', 'intptr_t'], (connection) => {
      const servername = ssl.SSL_get_servername(connection!, lib.TLSEXT_NAMETYPE_host_name);
      const context = servername === null ? 0 : (handshaking.context?.named(servername) ?? 0);
      if (context !== 0) ssl.SSL_set_SSL_CTX(connection!, context);
      return lib.SSL_TLSEXT_ERR_OK;
    }),
  };
  return registered;
}

/** The store of Node's authorities. It is never freed: it is the same for all contexts of the thread. */
let roots: Address = 0;

/** A store with the certificates that Node.js trusts. */
function newRootStore(ssl: OpenSsl): Address {
  const store = owned(ssl, ssl.X509_STORE_new(), 'X509_STORE_new');
  for (const certificate of certificatesOf(ssl, nodeTls().rootCertificates, 'tls.rootCertificates')) {
    ssl.X509_STORE_add_cert(store, certificate);
    ssl.X509_free(certificate);
  }
  ssl.ERR_clear_error();
  return store;
}

/** Refuses the certificates of these lists, and those of authorities that have none. */
function revoke(ssl: OpenSsl, store: Address, crl: Pem): void {
  for (const pem of listOf(crl)) {
    const list = fromPem(ssl, pem, (bio) => ssl.PEM_read_bio_X509_CRL(bio, null, null, ''));
    if (list === 0) throw takeError(ssl, 'read the revoked certificates of crl', 'PEM_read_bio_X509_CRL');
    try {
      must(ssl, ssl.X509_STORE_add_crl(store, list));
    } finally {
      ssl.X509_CRL_free(list);
    }
  }
  must(ssl, ssl.X509_STORE_set_flags(store, lib.X509_V_FLAG_CRL_CHECK | lib.X509_V_FLAG_CRL_CHECK_ALL));
}

function setAlgorithms(ssl: OpenSsl, context: Address, { ecdhCurve = 'auto', sigalgs }: TlsServerOptions): void {
  if (ecdhCurve !== 'auto') {
    must(ssl, ssl.SSL_CTX_ctrl_text(context, lib.SSL_CTRL_SET_GROUPS_LIST, 0, ecdhCurve), 'set the curves');
  }
  if (sigalgs !== undefined) {
    must(
      ssl,
      ssl.SSL_CTX_ctrl_text(context, lib.SSL_CTRL_SET_SIGALGS_LIST, 0, sigalgs),
      'set the signature algorithms',
    );
  }
}

function useDhParameters(ssl: OpenSsl, context: Address, dhparam: string | Uint8Array): void {
  if (dhparam === 'auto') {
    must(ssl, ssl.SSL_CTX_ctrl(context, lib.SSL_CTRL_SET_DH_AUTO, 1, null), 'use the parameters of dhparam');
    return;
  }
  const parameters = fromPem(ssl, dhparam, (bio) => ssl.PEM_read_bio_Parameters(bio, null));
  if (parameters === 0) throw takeError(ssl, 'read the parameters of dhparam', 'PEM_read_bio_Parameters');
  if (ssl.SSL_CTX_set0_tmp_dh_pkey(context, parameters) === 1) return;
  ssl.EVP_PKEY_free(parameters);
  throw takeError(ssl, 'use the parameters of dhparam', 'SSL_CTX_set0_tmp_dh_pkey');
}

/** Uses the certificates and keys. Gives the authorities that were with them: the caller must free each. */
function usePfx(ssl: OpenSsl, context: Address, { pfx, passphrase = '' }: TlsCredentials): Address[] {
  const authorities: Address[] = [];
  try {
    for (const bytes of pfx === undefined ? [] : pfx instanceof Uint8Array ? [pfx] : pfx) {
      const pkcs12 = fromPem(ssl, bytes, (bio) => ssl.d2i_PKCS12_bio(bio, null));
      if (pkcs12 === 0) throw takeError(ssl, 'read the PFX', 'd2i_PKCS12_bio');
      const [key, certificate, others] = [Buffer.alloc(8), Buffer.alloc(8), Buffer.alloc(8)];
      const parsed = ssl.PKCS12_parse(pkcs12, passphrase, key, certificate, others);
      ssl.PKCS12_free(pkcs12);
      must(ssl, parsed, 'read the PFX');
      const stack = addressIn(others);
      const from = authorities.length;
      for (let i = 0; stack !== 0 && i < ssl.OPENSSL_sk_num(stack); i++)
        authorities.push(ssl.OPENSSL_sk_value(stack, i));
      if (stack !== 0) ssl.OPENSSL_sk_free(stack);
      try {
        must(ssl, ssl.SSL_CTX_use_certificate(context, addressIn(certificate)), 'use the certificate');
        for (const other of authorities.slice(from)) {
          must(ssl, ssl.SSL_CTX_ctrl_address(context, lib.SSL_CTRL_CHAIN_CERT, 1, other), 'use the certificate');
        }
        must(ssl, ssl.SSL_CTX_use_PrivateKey(context, addressIn(key)), 'use the private key');
      } finally {
        ssl.X509_free(addressIn(certificate));
        ssl.EVP_PKEY_free(addressIn(key));
      }
    }
  } catch (error) {
    for (const certificate of authorities) ssl.X509_free(certificate);
    throw error;
  }
  return authorities;
}

/** An address that OpenSSL has written to 8 bytes; 0 for NULL. */
function addressIn(bytes: Buffer): Address {
  return Number(bytes.readBigUInt64LE(0));
}

function setCiphers(ssl: OpenSsl, context: Address, ciphers: string): void {
  // As in node:tls: the names of TLS 1.3 begin with TLS_, and are set by another function.
  const names = ciphers.split(':');
  const suites = names.filter((name) => name.startsWith('TLS_'));
  const others = names.filter((name) => name.length > 0 && !name.startsWith('TLS_'));
  if (suites.length > 0) must(ssl, ssl.SSL_CTX_set_ciphersuites(context, suites.join(':')), 'set the ciphers');
  if (others.length > 0) must(ssl, ssl.SSL_CTX_set_cipher_list(context, others.join(':')), 'set the ciphers');
}

function useCredentials(ssl: OpenSsl, context: Address, { cert, key, passphrase = '' }: TlsCredentials): void {
  for (const chain of listOf(cert)) {
    const [own, ...others] = certificatesOf(ssl, chain, 'cert');
    try {
      must(ssl, ssl.SSL_CTX_use_certificate(context, own!), 'use the certificate');
      for (const other of others) {
        must(ssl, ssl.SSL_CTX_ctrl_address(context, lib.SSL_CTRL_CHAIN_CERT, 1, other), 'use the certificate');
      }
    } finally {
      for (const certificate of [own!, ...others]) ssl.X509_free(certificate);
    }
  }
  for (const pem of listOf(key)) {
    const parsed = fromPem(ssl, pem, (bio) => ssl.PEM_read_bio_PrivateKey(bio, null, null, passphrase));
    if (parsed === 0) throw takeError(ssl, 'read the private key', 'PEM_read_bio_PrivateKey');
    try {
      must(ssl, ssl.SSL_CTX_use_PrivateKey(context, parsed), 'use the private key');
    } finally {
      ssl.EVP_PKEY_free(parsed);
    }
  }
  if (key !== undefined && cert !== undefined) {
    must(ssl, ssl.SSL_CTX_check_private_key(context), 'use the private key');
  }
}

/** The certificates of PEM texts. The caller must free each. Throws if there is none. */
function certificatesOf(ssl: OpenSsl, pem: Pem, name: string): Address[] {
  const found: Address[] = [];
  for (const text of listOf(pem)) {
    fromPem(ssl, text, (bio) => {
      for (;;) {
        const certificate = ssl.PEM_read_bio_X509_AUX(bio, null, null, '');
        if (certificate === 0) return 0;
        found.push(certificate);
      }
    });
  }
  if (found.length === 0) throw takeError(ssl, `read the certificates of ${name}`, 'PEM_read_bio_X509_AUX');
  // At the end of each text there is one error: no further certificate.
  ssl.ERR_clear_error();
  return found;
}

function fromPem(ssl: OpenSsl, pem: string | Uint8Array, read: (bio: Address) => Address): Address {
  const bytes = Buffer.from(pem as string);
  const bio = owned(ssl, ssl.BIO_new(ssl.BIO_s_mem()), 'BIO_new');
  try {
    if (bytes.length > 0) must(ssl, ssl.BIO_write(bio, bytes, bytes.length));
    return read(bio);
  } finally {
    ssl.BIO_free(bio);
  }
}

function listOf(pem: Pem | undefined): readonly (string | Uint8Array)[] {
  if (pem === undefined) return [];
  return typeof pem === 'string' || pem instanceof Uint8Array ? [pem] : pem;
}

/** The protocols as ALPN sends them. Throws a RangeError for a name that is empty, or longer than 255 bytes. */
function protocolList(names: readonly string[]): Buffer {
  const parts = names.map((name) => {
    const bytes = Buffer.from(name);
    if (bytes.length < 1 || bytes.length > 255)
      throw new RangeError(`ALPNProtocols: ${name} is not 1 to 255 bytes long`);
    return Buffer.concat([Buffer.of(bytes.length), bytes]);
  });
  return Buffer.concat(parts);
}

/** Passes an address through; throws for NULL. */
function owned(ssl: OpenSsl, address: Address, syscall: string): Address {
  if (address === 0) throw takeError(ssl, 'set up TLS', syscall);
  return address;
}

/** Throws unless the result is above 0. */
function must(ssl: OpenSsl, result: number, action = 'set up TLS'): void {
  if (result <= 0) throw takeError(ssl, action, 'OpenSSL');
}
