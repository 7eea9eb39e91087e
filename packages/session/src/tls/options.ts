// The options of TLS, by the names and with the defaults of node:tls, and the facts of a session's TLS connection.

import type { X509Certificate } from 'node:crypto';

/** PEM: a text or its bytes. An array has several, as for a certificate of RSA and one of elliptic curves. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[];

/** Protocol versions, as in node:tls. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** A certificate and its private key. */
export interface TlsCredentials {
  /** The certificate, followed by the intermediate ones, in PEM. */
  readonly cert?: Pem;
  /** The private key, in PEM. */
  readonly key?: Pem;
  /** Decrypts the private key, or the PFX. */
  readonly passphrase?: string;
  /** A certificate, its private key and its authorities, which are trusted then, in PFX (PKCS #12), instead of `cert` and `key`. */
  readonly pfx?: Uint8Array | readonly Uint8Array[];
}

/** The options that servers and clients share. */
export interface TlsOptions extends TlsCredentials {
  /** The certificate authorities that are trusted, in PEM. Default: `tls.rootCertificates`. */
  readonly ca?: Pem;
  /** The lists of certificates that were revoked, in PEM, one for each authority of a chain. Default: none is checked. */
  readonly crl?: Pem;
  /** The curves of the key exchange, the preferred first, as `X25519:P-256`. Default `auto`: those of OpenSSL. */
  readonly ecdhCurve?: string;
  /** The signature algorithms, as `ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256`. Default: those of OpenSSL. */
  readonly sigalgs?: string;
  /** Default `tls.DEFAULT_CIPHERS`. */
  readonly ciphers?: string;
  /** Default `TLSv1.2`. */
  readonly minVersion?: TlsVersion;
  /** Default `TLSv1.3`. */
  readonly maxVersion?: TlsVersion;
  /** The protocols to agree on, the preferred first. A server refuses a client that offers only others. Default: none. */
  readonly ALPNProtocols?: readonly string[];
  /**
   * Whether a peer is refused whose certificate is not valid, or that shows none. If false, `session.tls` says `authorized` and
   * why not. Default true.
   */
  readonly rejectUnauthorized?: boolean;
  /** Milliseconds in which the handshake must be done. Above 0; default 120,000. */
  readonly handshakeTimeout?: number;
}

/** TLS of a listener. */
export interface TlsServerOptions extends TlsOptions {
  /** The certificates for other names (SNI). A name may begin with `*.`. Other clients get the certificate above. */
  readonly contexts?: Readonly<Record<string, TlsCredentials>>;
  /**
   * Diffie-Hellman parameters in PEM, or `auto`, for clients of TLS 1.2 that have no elliptic curves. Default: no such ciphers.
   */
  readonly dhparam?: string | Uint8Array;
  /** Whether clients are asked for a certificate. Default false. */
  readonly requestCert?: boolean;
  /** Seconds in which a client may resume its session. Default 300. */
  readonly sessionTimeout?: number;
  /** 48 secret bytes that encrypt session tickets, for servers that accept each other's. Default: random ones for each listener. */
  readonly ticketKeys?: Uint8Array;
}

/** TLS of a connector. */
export interface TlsClientOptions extends TlsOptions {
  /** The name that the server's certificate must have. Default: the host of the target, if it is a name. */
  readonly servername?: string;
}

/** A session's TLS connection. */
export interface TlsInfo {
  /** `TLSv1.3` or `TLSv1.2`. */
  readonly protocol: string;
  /** As `getCipher()` of node:tls. */
  readonly cipher: {
    /** OpenSSL's name. */
    readonly name: string;
    /** The name of the standard. */
    readonly standardName: string;
    /** The version that has it first. */
    readonly version: string;
  };
  /** The protocol that was agreed on (ALPN), or false. */
  readonly alpnProtocol: string | false;
  /** The name that the client asked for (SNI), or false. */
  readonly servername: string | false;
  /** Whether the peer showed a valid certificate. */
  readonly authorized: boolean;
  /** Why not: a code of node:tls, such as `DEPTH_ZERO_SELF_SIGNED_CERT`. Null if it is authorized, or was not asked. */
  readonly authorizationError: string | null;
  /** The peer's certificate, if it showed one. */
  readonly peerCertificate: X509Certificate | undefined;
  /** Whether an earlier session was resumed. */
  readonly reused: boolean;
}
