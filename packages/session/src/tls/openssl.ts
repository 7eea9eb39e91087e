// OpenSSL, as it lies in Node's own binary: its exported functions, bound through koffi, and its error queue.
//
// A Buffer is passed as such, with a length that is at most its own; OpenSSL uses it during the call only. The addresses are those
// of OpenSSL's own objects. A function whose name has `1` or `new` gives a reference that the caller must free; `0` gives none.

import { IocpError, isIocpError } from '@overlapped/iocp-native';
import { guarded, koffi } from '@overlapped/iocp-native/internal';

/** The address of one of OpenSSL's objects; 0 for NULL. */
export type Address = number;
/** A callback that koffi has registered. */
type Callback = bigint | null;

// SSL_get_error().
export const SSL_ERROR_WANT_READ = 2;
export const SSL_ERROR_ZERO_RETURN = 6;
/** SSL_want(): it needs more bytes of the peer. */
export const SSL_READING = 3;

// Commands of SSL_CTX_ctrl(), SSL_ctrl() and BIO_ctrl().
export const BIO_CTRL_RESET = 1;
export const BIO_C_GET_BUF_MEM_PTR = 115;
export const BIO_C_SET_BUF_MEM_EOF_RETURN = 130;
export const SSL_CTRL_MODE = 33;
export const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
export const SSL_CTRL_SET_TLSEXT_SERVERNAME_CB = 53;
export const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
export const SSL_CTRL_SET_TLSEXT_TICKET_KEYS = 59;
export const SSL_CTRL_CHAIN_CERT = 89;
export const SSL_CTRL_SET_GROUPS_LIST = 92;
export const SSL_CTRL_SET_SIGALGS_LIST = 98;
export const SSL_CTRL_SET_DH_AUTO = 118;
export const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
export const SSL_CTRL_SET_MAX_PROTO_VERSION = 124;

export const SSL_MODE_RELEASE_BUFFERS = 0x10;
export const SSL_OP_NO_COMPRESSION = 1 << 17;
export const SSL_OP_CIPHER_SERVER_PREFERENCE = 1 << 22;
export const SSL_OP_NO_RENEGOTIATION = 1 << 30;
export const SSL_SESS_CACHE_OFF = 0;
/** The server keeps no sessions: tickets carry them. The client's are fetched from each connection. */
export const SSL_SESS_CACHE_SERVER = 2;
export const SSL_SESS_CACHE_NO_INTERNAL = 0x300;
export const SSL_VERIFY_NONE = 0;
export const SSL_VERIFY_PEER = 1;
export const SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 2;
export const SSL_SENT_SHUTDOWN = 1;
export const SSL_RECEIVED_SHUTDOWN = 2;
export const SSL_TLSEXT_ERR_OK = 0;
export const SSL_TLSEXT_ERR_ALERT_FATAL = 2;
export const SSL_TLSEXT_ERR_NOACK = 3;
export const OPENSSL_NPN_NEGOTIATED = 1;
export const TLSEXT_NAMETYPE_host_name = 0;

export const X509_V_FLAG_CRL_CHECK = 4;
export const X509_V_FLAG_CRL_CHECK_ALL = 8;

const ERR_LIB_SSL = 20;

export type OpenSsl = ReturnType<typeof bind>;

let bound: OpenSsl | undefined;
let missing: IocpError | undefined;

/** The functions. Throws an IocpError (ENOTSUP) where koffi does not load, or this Node.js does not export them. */
export function openSsl(): OpenSsl {
  if (bound !== undefined) return bound;
  if (missing !== undefined) throw missing;
  try {
    bound = guarded(bind);
    return bound;
  } catch (cause) {
    const [syscall, why] = isIocpError(cause)
      ? ['koffi', 'koffi does not load, so OpenSSL cannot be called']
      : ['dlsym', 'this Node.js exports no OpenSSL, or not all of its functions'];
    const reason = `${why}; node:tls serves over session.toDuplex()`;
    missing = new IocpError('use TLS', reason, 'ENOTSUP', syscall, 0, { cause });
    throw missing;
  }
}

type Fn<A extends readonly unknown[], R = number> = (...args: A) => R;

function bind() {
  const native = koffi();
  const library = native.load(process.platform === 'win32' ? process.execPath : null);
  const of = <A extends readonly unknown[], R = number>(definition: string): Fn<A, R> =>
    library.func(definition) as unknown as Fn<A, R>;
  const callback = (parameters: string[], run: (...args: number[]) => number): bigint =>
    guarded(() => native.register(run, native.pointer(native.proto('int', parameters))) as unknown as bigint);
  return {
    /** Registers a callback that lives as long as the thread. It must not throw. */
    callback,

    // Errors.
    ERR_clear_error: of<[], void>('void ERR_clear_error()'),
    ERR_get_error: of<[]>('uint32_t ERR_get_error()'),
    ERR_reason_error_string: of<[code: number], string | null>('const char *ERR_reason_error_string(unsigned long)'),
    X509_verify_cert_error_string: of<[code: number], string>('const char *X509_verify_cert_error_string(long)'),

    // BIOs.
    BIO_s_mem: of<[], Address>('intptr_t BIO_s_mem()'),
    BIO_new: of<[method: Address], Address>('intptr_t BIO_new(intptr_t)'),
    BIO_new_mem_buf: of<[bytes: Buffer, length: number], Address>('intptr_t BIO_new_mem_buf(void *, int)'),
    BIO_up_ref: of<[bio: Address]>('int BIO_up_ref(intptr_t)'),
    BIO_free: of<[bio: Address]>('int BIO_free(intptr_t)'),
    BIO_read: of<[bio: Address, to: Buffer, length: number]>('int BIO_read(intptr_t, void *, int)'),
    BIO_write: of<[bio: Address, from: Uint8Array, length: number]>('int BIO_write(intptr_t, void *, int)'),
    BIO_ctrl: of<[bio: Address, command: number, number: number, pointer: Buffer | null]>(
      'long BIO_ctrl(intptr_t, int, long, void *)',
    ),
    BIO_ctrl_pending: of<[bio: Address]>('size_t BIO_ctrl_pending(intptr_t)'),

    // Certificates and keys.
    PEM_read_bio_X509_AUX: of<[bio: Address, x: null, callback: null, password: string], Address>(
      'intptr_t PEM_read_bio_X509_AUX(intptr_t, void *, void *, const char *)',
    ),
    PEM_read_bio_PrivateKey: of<[bio: Address, x: null, callback: null, password: string], Address>(
      'intptr_t PEM_read_bio_PrivateKey(intptr_t, void *, void *, const char *)',
    ),
    PEM_read_bio_X509_CRL: of<[bio: Address, x: null, callback: null, password: string], Address>(
      'intptr_t PEM_read_bio_X509_CRL(intptr_t, void *, void *, const char *)',
    ),
    PEM_read_bio_Parameters: of<[bio: Address, x: null], Address>('intptr_t PEM_read_bio_Parameters(intptr_t, void *)'),
    d2i_PKCS12_bio: of<[bio: Address, x: null], Address>('intptr_t d2i_PKCS12_bio(intptr_t, void *)'),
    PKCS12_free: of<[pkcs12: Address], void>('void PKCS12_free(intptr_t)'),
    /** Writes three addresses: Buffers of 8 bytes. */
    PKCS12_parse: of<[pkcs12: Address, password: string, key: Buffer, certificate: Buffer, others: Buffer]>(
      'int PKCS12_parse(intptr_t, const char *, void *, void *, void *)',
    ),
    OPENSSL_sk_num: of<[stack: Address]>('int OPENSSL_sk_num(intptr_t)'),
    OPENSSL_sk_value: of<[stack: Address, index: number], Address>('intptr_t OPENSSL_sk_value(intptr_t, int)'),
    OPENSSL_sk_free: of<[stack: Address], void>('void OPENSSL_sk_free(intptr_t)'),
    EVP_PKEY_free: of<[key: Address], void>('void EVP_PKEY_free(intptr_t)'),
    X509_free: of<[certificate: Address], void>('void X509_free(intptr_t)'),
    i2d_X509_bio: of<[bio: Address, certificate: Address]>('int i2d_X509_bio(intptr_t, intptr_t)'),
    X509_STORE_CTX_get_error: of<[context: Address]>('int X509_STORE_CTX_get_error(intptr_t)'),
    X509_verify_cert: of<[context: Address]>('int X509_verify_cert(intptr_t)'),
    X509_STORE_new: of<[], Address>('intptr_t X509_STORE_new()'),
    X509_STORE_free: of<[store: Address], void>('void X509_STORE_free(intptr_t)'),
    X509_STORE_up_ref: of<[store: Address]>('int X509_STORE_up_ref(intptr_t)'),
    X509_STORE_add_cert: of<[store: Address, certificate: Address]>('int X509_STORE_add_cert(intptr_t, intptr_t)'),
    X509_STORE_add_crl: of<[store: Address, list: Address]>('int X509_STORE_add_crl(intptr_t, intptr_t)'),
    X509_STORE_set_flags: of<[store: Address, flags: number]>('int X509_STORE_set_flags(intptr_t, unsigned long)'),
    X509_CRL_free: of<[list: Address], void>('void X509_CRL_free(intptr_t)'),

    // Contexts.
    TLS_server_method: of<[], Address>('intptr_t TLS_server_method()'),
    TLS_client_method: of<[], Address>('intptr_t TLS_client_method()'),
    SSL_CTX_new: of<[method: Address], Address>('intptr_t SSL_CTX_new(intptr_t)'),
    SSL_CTX_free: of<[context: Address], void>('void SSL_CTX_free(intptr_t)'),
    SSL_CTX_ctrl: of<[context: Address, command: number, number: number, pointer: Uint8Array | null]>(
      'long SSL_CTX_ctrl(intptr_t, int, long, void *)',
    ),
    /** The same with an address for the pointer. */
    SSL_CTX_ctrl_address: of<[context: Address, command: number, number: number, pointer: Address]>(
      'long SSL_CTX_ctrl(intptr_t, int, long, intptr_t)',
    ),
    /** The same with a text for the pointer. */
    SSL_CTX_ctrl_text: of<[context: Address, command: number, number: number, text: string]>(
      'long SSL_CTX_ctrl(intptr_t, int, long, const char *)',
    ),
    /** If it succeeds, the context owns the parameters. */
    SSL_CTX_set0_tmp_dh_pkey: of<[context: Address, parameters: Address]>(
      'int SSL_CTX_set0_tmp_dh_pkey(intptr_t, intptr_t)',
    ),
    SSL_CTX_callback_ctrl: of<[context: Address, command: number, callback: Callback]>(
      'long SSL_CTX_callback_ctrl(intptr_t, int, void *)',
    ),
    SSL_CTX_set_options: of<[context: Address, options: number]>('uint64_t SSL_CTX_set_options(intptr_t, uint64_t)'),
    SSL_CTX_set_timeout: of<[context: Address, seconds: number]>('long SSL_CTX_set_timeout(intptr_t, long)'),
    SSL_CTX_set_session_id_context: of<[context: Address, id: Buffer, length: number]>(
      'int SSL_CTX_set_session_id_context(intptr_t, void *, unsigned int)',
    ),
    SSL_CTX_set_cipher_list: of<[context: Address, names: string]>(
      'int SSL_CTX_set_cipher_list(intptr_t, const char *)',
    ),
    SSL_CTX_set_ciphersuites: of<[context: Address, names: string]>(
      'int SSL_CTX_set_ciphersuites(intptr_t, const char *)',
    ),
    SSL_CTX_use_certificate: of<[context: Address, certificate: Address]>(
      'int SSL_CTX_use_certificate(intptr_t, intptr_t)',
    ),
    SSL_CTX_use_PrivateKey: of<[context: Address, key: Address]>('int SSL_CTX_use_PrivateKey(intptr_t, intptr_t)'),
    SSL_CTX_check_private_key: of<[context: Address]>('int SSL_CTX_check_private_key(intptr_t)'),
    SSL_CTX_add_client_CA: of<[context: Address, certificate: Address]>(
      'int SSL_CTX_add_client_CA(intptr_t, intptr_t)',
    ),
    SSL_CTX_set_cert_store: of<[context: Address, store: Address], void>(
      'void SSL_CTX_set_cert_store(intptr_t, intptr_t)',
    ),
    SSL_CTX_set_verify: of<[context: Address, mode: number, callback: Callback], void>(
      'void SSL_CTX_set_verify(intptr_t, int, void *)',
    ),
    SSL_CTX_set_cert_verify_callback: of<[context: Address, callback: Callback, argument: null], void>(
      'void SSL_CTX_set_cert_verify_callback(intptr_t, void *, void *)',
    ),
    SSL_CTX_set_alpn_protos: of<[context: Address, protocols: Buffer, length: number]>(
      'int SSL_CTX_set_alpn_protos(intptr_t, void *, unsigned int)',
    ),
    SSL_CTX_set_alpn_select_cb: of<[context: Address, callback: Callback, argument: null], void>(
      'void SSL_CTX_set_alpn_select_cb(intptr_t, void *, void *)',
    ),
    SSL_select_next_proto: of<
      [out: Address, outLength: Address, own: Buffer, ownLength: number, theirs: Address, length: number]
    >('int SSL_select_next_proto(intptr_t, intptr_t, void *, unsigned int, intptr_t, unsigned int)'),

    // Connections.
    SSL_new: of<[context: Address], Address>('intptr_t SSL_new(intptr_t)'),
    SSL_free: of<[ssl: Address], void>('void SSL_free(intptr_t)'),
    SSL_set_bio: of<[ssl: Address, read: Address, write: Address], void>(
      'void SSL_set_bio(intptr_t, intptr_t, intptr_t)',
    ),
    SSL_set_accept_state: of<[ssl: Address], void>('void SSL_set_accept_state(intptr_t)'),
    SSL_set_connect_state: of<[ssl: Address], void>('void SSL_set_connect_state(intptr_t)'),
    SSL_set_SSL_CTX: of<[ssl: Address, context: Address], Address>('intptr_t SSL_set_SSL_CTX(intptr_t, intptr_t)'),
    SSL_ctrl_text: of<[ssl: Address, command: number, number: number, text: string]>(
      'long SSL_ctrl(intptr_t, int, long, const char *)',
    ),
    SSL_ctrl: of<[ssl: Address, command: number, number: number, pointer: null]>(
      'long SSL_ctrl(intptr_t, int, long, void *)',
    ),
    SSL_set_session: of<[ssl: Address, session: Address]>('int SSL_set_session(intptr_t, intptr_t)'),
    SSL_get1_session: of<[ssl: Address], Address>('intptr_t SSL_get1_session(intptr_t)'),
    SSL_SESSION_is_resumable: of<[session: Address]>('int SSL_SESSION_is_resumable(intptr_t)'),
    SSL_SESSION_free: of<[session: Address], void>('void SSL_SESSION_free(intptr_t)'),
    SSL_session_reused: of<[ssl: Address]>('int SSL_session_reused(intptr_t)'),
    SSL_do_handshake: of<[ssl: Address]>('int SSL_do_handshake(intptr_t)'),
    SSL_read: of<[ssl: Address, to: Buffer, length: number]>('int SSL_read(intptr_t, void *, int)'),
    SSL_write: of<[ssl: Address, from: Buffer, length: number]>('int SSL_write(intptr_t, void *, int)'),
    SSL_shutdown: of<[ssl: Address]>('int SSL_shutdown(intptr_t)'),
    SSL_set_shutdown: of<[ssl: Address, mode: number], void>('void SSL_set_shutdown(intptr_t, int)'),
    SSL_get_error: of<[ssl: Address, result: number]>('int SSL_get_error(intptr_t, int)'),
    SSL_want: of<[ssl: Address]>('int SSL_want(intptr_t)'),
    SSL_get_verify_result: of<[ssl: Address]>('long SSL_get_verify_result(intptr_t)'),
    SSL_get1_peer_certificate: of<[ssl: Address], Address>('intptr_t SSL_get1_peer_certificate(intptr_t)'),
    SSL_get_version: of<[ssl: Address], string>('const char *SSL_get_version(intptr_t)'),
    SSL_get_current_cipher: of<[ssl: Address], Address>('intptr_t SSL_get_current_cipher(intptr_t)'),
    SSL_CIPHER_get_name: of<[cipher: Address], string>('const char *SSL_CIPHER_get_name(intptr_t)'),
    SSL_CIPHER_standard_name: of<[cipher: Address], string>('const char *SSL_CIPHER_standard_name(intptr_t)'),
    SSL_CIPHER_get_version: of<[cipher: Address], string>('const char *SSL_CIPHER_get_version(intptr_t)'),
    SSL_get_servername: of<[ssl: Address, type: number], string | null>(
      'const char *SSL_get_servername(intptr_t, int)',
    ),
    /** Writes an address and a length: two Buffers of 8 and 4 bytes. */
    SSL_get0_alpn_selected: of<[ssl: Address, data: Buffer, length: Buffer], void>(
      'void SSL_get0_alpn_selected(intptr_t, void *, void *)',
    ),
    /** A copy of native bytes. */
    bytesAt: (address: Buffer, length: number): Buffer => {
      const at = address.readBigUInt64LE(0);
      return at === 0n ? Buffer.alloc(0) : Buffer.from(native.decode(at, 'uint8_t', length) as number[]);
    },
  };
}

/**
 * Takes the thread's errors, and gives the first of TLS itself, or else the first, as an IocpError with the code that node:tls gives
 * it. The queue is empty afterwards.
 */
export function takeError(ssl: OpenSsl, action: string, syscall: string): IocpError {
  let code = 0;
  for (let next = ssl.ERR_get_error(); next !== 0; next = ssl.ERR_get_error()) {
    if (code === 0 || (libraryOf(code) !== ERR_LIB_SSL && libraryOf(next) === ERR_LIB_SSL)) code = next;
  }
  const reason = code === 0 ? null : ssl.ERR_reason_error_string(code);
  if (reason === null) return new IocpError(action, 'OpenSSL has failed without a reason', 'ERR_SSL_ERROR', syscall);
  const library = libraryOf(code);
  const prefix = library === ERR_LIB_SSL ? 'ERR_SSL_' : `ERR_OSSL_${LIBRARIES[library] ?? ''}`;
  return new IocpError(action, reason, prefix + reason.toUpperCase().replaceAll(' ', '_'), syscall);
}

/** The libraries' names in codes of Node.js. */
const LIBRARIES: Readonly<Record<number, string>> = {
  3: 'BN_',
  4: 'RSA_',
  5: 'DH_',
  6: 'EVP_',
  9: 'PEM_',
  10: 'DSA_',
  11: 'X509_',
  13: 'ASN1_',
  15: 'CRYPTO_',
  16: 'EC_',
  32: 'BIO_',
  34: 'X509V3_',
  35: 'PKCS12_',
  36: 'RAND_',
};

function libraryOf(code: number): number {
  return (code >>> 23) & 0xff;
}

/** node:tls's name of a result of SSL_get_verify_result(). */
export function verifyCode(result: number): string {
  return VERIFY_CODES[result] ?? 'UNSPECIFIED';
}

/** X509_V_ERR_... */
const VERIFY_CODES: Readonly<Record<number, string>> = {
  2: 'UNABLE_TO_GET_ISSUER_CERT',
  3: 'UNABLE_TO_GET_CRL',
  4: 'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  5: 'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  6: 'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  7: 'CERT_SIGNATURE_FAILURE',
  8: 'CRL_SIGNATURE_FAILURE',
  9: 'CERT_NOT_YET_VALID',
  10: 'CERT_HAS_EXPIRED',
  11: 'CRL_NOT_YET_VALID',
  12: 'CRL_HAS_EXPIRED',
  13: 'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  14: 'ERROR_IN_CERT_NOT_AFTER_FIELD',
  15: 'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  16: 'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  17: 'OUT_OF_MEM',
  18: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  19: 'SELF_SIGNED_CERT_IN_CHAIN',
  20: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  21: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  22: 'CERT_CHAIN_TOO_LONG',
  23: 'CERT_REVOKED',
  24: 'INVALID_CA',
  25: 'PATH_LENGTH_EXCEEDED',
  26: 'INVALID_PURPOSE',
  27: 'CERT_UNTRUSTED',
  28: 'CERT_REJECTED',
  62: 'HOSTNAME_MISMATCH',
};
