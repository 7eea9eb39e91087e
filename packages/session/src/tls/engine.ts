// TlsEngine: one TLS connection. It turns bytes of the peer into plain ones, and plain bytes into records.
//
//   receive buffer -> ByteSource -> SSL_read -> plain buffer      plain bytes -> SSL_write -> BIO_read -> send buffer
//
// All engines of a thread share a ByteSource, a memory BIO and the plain buffer: an idle connection holds none. So both BIOs must be
// empty when a call of an engine has returned: SSL_read() is called until every whole record has given its bytes and an incomplete
// one is kept in the SSL, and records that OpenSSL writes by itself (alerts, key updates, tickets) are moved to `output` at once.

import assert from 'node:assert';
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { IocpError } from '@overlapped/iocp-native';
import { nodeCrypto, nodeTls } from '../builtin.js';
import { type ByteSource, openByteSource } from './byte-source.js';
import { handshaking, live, type TlsContext } from './context.js';
import * as lib from './openssl.js';
import { type Address, type OpenSsl, openSsl, takeError, verifyCode } from './openssl.js';
import type { TlsInfo } from './options.js';
import { RecordCounter } from './record-counter.js';

/** Limit of one record's plain bytes. */
const PLAIN_SIZE = 16_384;
const CERTIFICATE_VERIFY_FAILED = 'ERR_SSL_CERTIFICATE_VERIFY_FAILED';

/** The buffers that the engines of this thread share. */
interface Shared {
  readonly ssl: OpenSsl;
  readonly input: ByteSource;
  readonly output: Address;
}

let shared: Shared | undefined;

function open(): Shared {
  if (shared !== undefined) return shared;
  const ssl = openSsl();
  const output = ssl.BIO_new(ssl.BIO_s_mem());
  if (output === 0) throw takeError(ssl, 'set up TLS', 'BIO_new');
  // They live as long as the process: a thread makes them once.
  shared = { ssl, input: openByteSource(ssl), output };
  return shared;
}

/** Where plain bytes are read to. A user may keep or detach its memory. */
let plain: Buffer = Buffer.alloc(0);
let plainView: Buffer = plain;
/** Bytes at the start of `plain` that may not be zero. */
let plainExtent = 0;

/** A view of the first `length` plain bytes. Bytes that other connections left behind them are cleared. */
function viewOfPlain(length: number): Buffer {
  if (length < plainExtent) plain.fill(0, length, plainExtent);
  plainExtent = length;
  if (plainView.length !== length || plainView.buffer !== plain.buffer) {
    plainView = Buffer.from(plain.buffer as ArrayBuffer, 0, length);
  }
  return plainView;
}

export class TlsEngine {
  readonly context: TlsContext;
  /** The records to be sent before anything else, or null. */
  output: Buffer | null = null;
  /** The peer's close_notify has come: it sends no more. */
  peerEnded = false;
  /** A fatal error: nothing more can be read or written. */
  failed = false;
  readonly #shared = open();
  readonly #records = new RecordCounter();
  /** The name that the peer's certificate must have; of a client. */
  readonly #host: string | undefined;
  #ssl: Address;
  #ending = false;
  /** How many more records of the last packet may give plain bytes; infinite if SSL_read() has to say that it wants more. */
  #unread = 0;
  #info: TlsInfo | null = null;

  /** @param host the server's name or address; of a client */
  constructor(context: TlsContext, host?: string) {
    const { ssl, input, output } = this.#shared;
    this.context = context;
    this.#host = host;
    ssl.ERR_clear_error();
    const connection = ssl.SSL_new(context.address);
    if (connection === 0) throw takeError(ssl, 'start TLS', 'SSL_new');
    this.#ssl = connection;
    live.engines++;
    // The SSL owns a reference of each.
    assert(ssl.BIO_up_ref(input.address) === 1 && ssl.BIO_up_ref(output) === 1);
    ssl.SSL_set_bio(connection, input.address, output);
    if (context.server) {
      ssl.SSL_set_accept_state(connection);
      return;
    }
    ssl.SSL_set_connect_state(connection);
    if (host === undefined) return;
    if (isIP(host) === 0) {
      ssl.SSL_ctrl_text(connection, lib.SSL_CTRL_SET_TLSEXT_HOSTNAME, lib.TLSEXT_NAMETYPE_host_name, host);
    }
    const session = context.sessionOf(host);
    if (session !== 0) ssl.SSL_set_session(connection, session);
  }

  /**
   * Goes on with the handshake. True if it is done. Then plain bytes that came with it are pushed to `rest`. Throws an IocpError
   * when it has failed; `output` may have the alert for the peer.
   * @param data bytes of the peer; null to begin
   */
  handshake(data: Buffer | null, rest: Buffer[]): boolean {
    const { ssl } = this.#shared;
    if (data !== null) {
      this.#records.count(data);
      this.#feed(data);
    }
    ssl.ERR_clear_error();
    handshaking.context = this.context;
    const result = ssl.SSL_do_handshake(this.#ssl);
    handshaking.context = null;
    if (result !== 1) {
      const error = ssl.SSL_get_error(this.#ssl, result);
      if (error !== lib.SSL_ERROR_WANT_READ) throw this.#fail('do the TLS handshake');
      this.#takeOutput();
      return false;
    }
    this.#takeOutput();
    if (!this.context.server) this.#checkIdentity();
    this.#unread = Number.POSITIVE_INFINITY;
    for (let bytes = this.next(); bytes !== null; bytes = this.next()) rest.push(Buffer.from(bytes));
    return true;
  }

  /**
   * Takes bytes of the peer. Gives the first plain bytes, or null. The caller must then call next() until that gives null, also
   * when it needs no more bytes. The view is valid until the next call. Throws an IocpError for a broken stream.
   */
  read(data: Buffer): Buffer | null {
    if (this.failed || this.peerEnded) return null;
    const records = this.#records;
    records.count(data);
    this.#feed(data);
    this.#unread = records.between ? records.whole : Number.POSITIVE_INFINITY;
    if (records.whole > 1) this.#shared.ssl.ERR_clear_error();
    return this.next();
  }

  next(): Buffer | null {
    if (this.#unread === 0) return null;
    const n = this.#read();
    if (n <= 0) return this.#stopped(n);
    this.#unread--;
    // One record that gave bytes was no message to OpenSSL, which then has nothing to say. Of several this is not known.
    if (this.#records.whole !== 1) this.#takeOutput();
    return viewOfPlain(n);
  }

  /** Encrypts bytes. drain() must follow. Throws an IocpError. */
  write(from: Buffer, length: number): void {
    const { ssl } = this.#shared;
    assert(length > 0 && length <= from.length);
    if (ssl.SSL_write(this.#ssl, from, length) === length) return;
    throw this.#fail('encrypt');
  }

  /** Moves encrypted bytes to a buffer. Gives their number; if that is all of its length, there may be more. */
  drain(to: Buffer): number {
    const { ssl, output } = this.#shared;
    return Math.max(0, ssl.BIO_read(output, to, to.length));
  }

  /** Keeps encrypted bytes that did not fit in `output`. */
  drainRest(): void {
    this.#takeOutput();
  }

  /** Makes the close_notify, once. True if there is one to send. */
  end(): boolean {
    if (this.#ending || this.failed) return false;
    this.#ending = true;
    const { ssl } = this.#shared;
    ssl.ERR_clear_error();
    ssl.SSL_shutdown(this.#ssl);
    ssl.ERR_clear_error();
    this.#takeOutput();
    return this.output !== null;
  }

  /** The facts of the connection. Null when it is freed, and had not been asked before. */
  get info(): TlsInfo | null {
    if (this.#info === null && this.#ssl !== 0) this.#info = this.#readInfo();
    return this.#info;
  }

  free(): void {
    if (this.#ssl === 0) return;
    const { ssl } = this.#shared;
    if (!this.context.server && this.#host !== undefined && !this.failed) this.#keepSession(this.#host);
    const connection = this.#ssl;
    this.#ssl = 0;
    this.output = null;
    // Otherwise OpenSSL marks the session as one that can't be resumed, if no close_notify was sent.
    ssl.SSL_set_shutdown(connection, lib.SSL_SENT_SHUTDOWN | lib.SSL_RECEIVED_SHUTDOWN);
    ssl.SSL_free(connection);
    live.engines--;
  }

  #feed(data: Buffer): void {
    if (!this.#shared.input.offer(data)) throw this.#fail('decrypt');
  }

  #read(): number {
    if (plain.length < PLAIN_SIZE) {
      plain = Buffer.alloc(PLAIN_SIZE);
      plainExtent = 0;
    }
    return this.#shared.ssl.SSL_read(this.#ssl, plain, PLAIN_SIZE);
  }

  /** SSL_read() gave nothing: it wants more, the peer has ended, or the stream is broken. */
  #stopped(result: number): null {
    const { ssl, input } = this.#shared;
    if (ssl.SSL_want(this.#ssl) === lib.SSL_READING) {
      // No record has ended, so OpenSSL has nothing to say.
      if (this.#records.whole > 0) this.#takeOutput();
      return null;
    }
    if (ssl.SSL_get_error(this.#ssl, result) !== lib.SSL_ERROR_ZERO_RETURN) throw this.#fail('decrypt');
    this.peerEnded = true;
    // Bytes after the close_notify are ignored.
    input.clear();
    this.#takeOutput();
    return null;
  }

  /** Moves OpenSSL's records to `output`. */
  #takeOutput(): void {
    const { ssl, output } = this.#shared;
    const length = ssl.BIO_ctrl_pending(output);
    if (length === 0) return;
    const bytes = Buffer.allocUnsafeSlow(length);
    const taken = ssl.BIO_read(output, bytes, length);
    assert(taken === length);
    this.output = this.output === null ? bytes : Buffer.concat([this.output, bytes]);
  }

  /** The connection is broken: the shared BIOs are emptied for the others. */
  #fail(action: string): IocpError {
    const { ssl, input } = this.#shared;
    this.failed = true;
    const error = takeError(ssl, action, this.context.server ? 'accept' : 'connect');
    input.clear();
    this.#takeOutput();
    if (error.code !== CERTIFICATE_VERIFY_FAILED) return error;
    const result = ssl.SSL_get_verify_result(this.#ssl);
    return new IocpError(action, ssl.X509_verify_cert_error_string(result), verifyCode(result), error.syscall!);
  }

  /** The host's name must be in the server's certificate. */
  #checkIdentity(): void {
    if (!this.context.rejectUnauthorized || this.#host === undefined) return;
    const { peerCertificate } = this;
    const wrong = peerCertificate && nodeTls().checkServerIdentity(this.#host, peerCertificate.toLegacyObject());
    if (peerCertificate !== undefined && wrong === undefined) return;
    this.failed = true;
    this.#shared.input.clear();
    // Without its last message the server does not take the connection for one that is open.
    this.output = null;
    const reason = wrong?.message ?? 'the server has shown no certificate';
    throw new IocpError('do the TLS handshake', reason, 'ERR_TLS_CERT_ALTNAME_INVALID', 'connect', 0, { cause: wrong });
  }

  get peerCertificate(): X509Certificate | undefined {
    const { ssl, output } = this.#shared;
    const certificate = ssl.SSL_get1_peer_certificate(this.#ssl);
    if (certificate === 0) return undefined;
    try {
      if (ssl.i2d_X509_bio(output, certificate) !== 1) throw takeError(ssl, 'read the certificate', 'i2d_X509_bio');
      const der = Buffer.allocUnsafeSlow(ssl.BIO_ctrl_pending(output));
      assert(ssl.BIO_read(output, der, der.length) === der.length);
      const { X509Certificate } = nodeCrypto();
      return new X509Certificate(der);
    } finally {
      ssl.X509_free(certificate);
    }
  }

  #readInfo(): TlsInfo {
    const { ssl } = this.#shared;
    const connection = this.#ssl;
    const cipher = ssl.SSL_get_current_cipher(connection);
    const at = Buffer.alloc(8);
    const length = Buffer.alloc(4);
    ssl.SSL_get0_alpn_selected(connection, at, length);
    const protocol = ssl.bytesAt(at, length.readUInt32LE(0)).toString();
    const { peerCertificate } = this;
    const result = ssl.SSL_get_verify_result(connection);
    const valid = result === 0 && peerCertificate !== undefined;
    const identity =
      valid && !this.context.server && this.#host !== undefined
        ? nodeTls().checkServerIdentity(this.#host, peerCertificate.toLegacyObject())
        : undefined;
    const shown = peerCertificate !== undefined;
    return {
      protocol: ssl.SSL_get_version(connection),
      cipher: {
        name: ssl.SSL_CIPHER_get_name(cipher),
        standardName: ssl.SSL_CIPHER_standard_name(cipher),
        version: ssl.SSL_CIPHER_get_version(cipher),
      },
      alpnProtocol: protocol === '' ? false : protocol,
      servername: ssl.SSL_get_servername(connection, lib.TLSEXT_NAMETYPE_host_name) ?? false,
      authorized: valid && identity === undefined,
      authorizationError: identity ? 'ERR_TLS_CERT_ALTNAME_INVALID' : shown && !valid ? verifyCode(result) : null,
      peerCertificate,
      reused: ssl.SSL_session_reused(connection) === 1,
    };
  }

  #keepSession(host: string): void {
    const { ssl } = this.#shared;
    const session = ssl.SSL_get1_session(this.#ssl);
    if (session === 0) return;
    if (ssl.SSL_SESSION_is_resumable(session) === 1) this.context.keepSession(host, session);
    else ssl.SSL_SESSION_free(session);
  }
}

/** The stream of the peer was cut: its FIN came without a close_notify. */
export function cutStream(): IocpError {
  const reason = 'the connection was cut without a close_notify';
  return new IocpError('receive', reason, 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING', 'receive');
}
