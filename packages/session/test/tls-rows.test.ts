// TLS sessions behave as node:tls does: each row runs with node:tls at both ends, with sessions at one of them, and at both.

import { describe, expect, test } from 'vitest';
import type { TlsClientOptions, TlsServerOptions } from '../src/index.js';
import { issue, makeCertificates } from './certificates.js';
import { onEachBackend, withCore } from './support.js';
import { nodeSide, type Said, type Side, sessionSide } from './tls-sides.js';

const { authority, ca, a, b, client } = await makeCertificates();
const other = await makeCertificates();
const rsaAuthority = await issue({ name: 'The authority of RSA', authority: true, rsa: true });
const between = await issue({ name: 'Between', by: authority, authority: true });
const [below, expired, early, rsa, several, self, lateClient] = await Promise.all([
  issue({ name: 'a.test', by: between }),
  issue({ name: 'a.test', by: authority, from: -9, until: -2 }),
  issue({ name: 'a.test', by: authority, from: 2 }),
  issue({ name: 'a.test', by: rsaAuthority, rsa: true }),
  issue({ name: 'other.test', by: other.authority, from: -9, until: -2 }),
  issue({ name: 'a.test' }),
  issue({ name: 'a client', by: authority, from: -9, until: -2 }),
]);
const strict = { requestCert: true, ca };
const lax = { requestCert: true, ca, rejectUnauthorized: false };
const trusting = { rejectUnauthorized: false };

interface Row {
  readonly name: string;
  readonly server?: Partial<TlsServerOptions>;
  readonly client?: Partial<TlsClientOptions>;
  /** The code of a server of sessions, where it is meant to differ: it says why it refuses a client. */
  readonly refused?: string;
}

const v12 = { maxVersion: 'TLSv1.2' } as const;
const v13 = { minVersion: 'TLSv1.3' } as const;

const tables: Record<string, Row[]> = {
  versions: [
    { name: 'as it is' },
    { name: 'the server has TLS 1.2', server: v12 },
    { name: 'the client has TLS 1.2', client: v12 },
    { name: 'the server has more', server: v13, client: v12 },
    { name: 'the client has more', server: v12, client: v13 },
  ],
  ciphers: [
    { name: 'one of TLS 1.2', client: { ...v12, ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' } },
    { name: 'one of TLS 1.3', client: { ciphers: 'TLS_CHACHA20_POLY1305_SHA256' } },
    {
      name: 'none in common: TLS 1.2',
      server: { ...v12, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      client: { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' },
    },
    {
      name: 'none in common: TLS 1.3',
      server: { ...v13, ciphers: 'TLS_AES_128_GCM_SHA256' },
      client: { ...v13, ciphers: 'TLS_CHACHA20_POLY1305_SHA256' },
    },
    {
      name: 'the server prefers: TLS 1.2',
      server: { ...v12, ciphers: 'ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA' },
    },
    { name: 'those of RSA, for a certificate of curves', client: { ...v12, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } },
    { name: 'one curve', server: { ecdhCurve: 'P-384' } },
    { name: 'no curve in common', server: { ecdhCurve: 'P-384' }, client: { ecdhCurve: 'X25519' } },
    { name: 'no curve in common: TLS 1.2', server: { ...v12, ecdhCurve: 'P-384' }, client: { ecdhCurve: 'X25519' } },
    { name: 'one signature algorithm', client: { sigalgs: 'ecdsa_secp256r1_sha256' } },
    { name: 'no signature algorithm in common', client: { sigalgs: 'rsa_pss_rsae_sha256' } },
    {
      name: 'Diffie-Hellman without curves',
      server: { ...rsa, ...v12, dhparam: 'auto' },
      client: { ciphers: 'DHE-RSA-AES128-GCM-SHA256' },
    },
    {
      name: 'Diffie-Hellman that is off',
      server: { ...rsa, ...v12 },
      client: { ciphers: 'DHE-RSA-AES128-GCM-SHA256' },
    },
  ],
  alpn: [
    { name: 'agreed', server: { ALPNProtocols: ['x', 'y'] }, client: { ALPNProtocols: ['y', 'x'] } },
    { name: 'none in common', server: { ALPNProtocols: ['x'] }, client: { ALPNProtocols: ['y'] } },
    { name: 'only the server', server: { ALPNProtocols: ['x'] } },
    { name: 'only the client', client: { ALPNProtocols: ['x'] } },
  ],
  names: [
    { name: 'another certificate', server: { contexts: { 'b.test': b } }, client: { servername: 'b.test' } },
    { name: 'no certificate for it', client: { servername: 'b.test' } },
    { name: 'with a wildcard', server: { contexts: { '*.test': b } }, client: { servername: 'b.test' } },
    { name: 'a wrong name that is accepted', client: { servername: 'b.test', ...trusting } },
  ],
  certificates: [
    { name: 'of RSA', server: rsa },
    { name: 'both of RSA and of curves', server: { cert: [a.cert, rsa.cert], key: [a.key, rsa.key] } },
    {
      name: 'both, for a client that has RSA only',
      server: { cert: [a.cert, rsa.cert], key: [a.key, rsa.key] },
      client: { ...v12, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
    },
    { name: 'with the authority between', server: { key: below.key, cert: `${below.cert}\n${between.cert}` } },
    { name: 'without the authority between', server: below },
    { name: 'without the authority between, accepted', server: below, client: trusting },
    { name: 'signed by itself', server: self },
    { name: 'signed by itself, and trusted', server: self, client: { ca: self.cert } },
    { name: 'signed by itself, accepted', server: self, client: trusting },
    {
      name: 'with an authority that is not trusted',
      server: { key: other.a.key, cert: `${other.a.cert}\n${other.ca}` },
    },
    { name: 'expired', server: expired },
    { name: 'expired, accepted', server: expired, client: trusting },
    { name: 'not yet valid', server: early },
    { name: 'of another authority of the same name', server: other.a },
    { name: 'with several faults', server: several },
    {
      name: 'with several faults, and its authority',
      server: { key: several.key, cert: `${several.cert}\n${other.ca}` },
    },
    { name: 'with several faults, accepted', server: several, client: trusting },
    { name: 'expired, and of another name', server: expired, client: { servername: 'x.test' } },
    { name: "with Node's own authorities", client: { ca: undefined as never } },
  ],
  clients: [
    { name: 'with a certificate', server: strict, client },
    { name: 'with a certificate: TLS 1.2', server: strict, client: { ...client, ...v12 } },
    { name: 'without one', server: strict },
    { name: 'without one: TLS 1.2', server: strict, client: v12 },
    { name: 'without one, accepted', server: lax },
    { name: 'with one of another authority', server: strict, client: other.client, refused: 'CERT_SIGNATURE_FAILURE' },
    {
      name: 'with one of another authority: TLS 1.2',
      server: strict,
      client: { ...other.client, ...v12 },
      refused: 'CERT_SIGNATURE_FAILURE',
    },
    { name: 'with one of another authority, accepted', server: lax, client: other.client },
    { name: 'with an expired one', server: strict, client: lateClient, refused: 'CERT_HAS_EXPIRED' },
    { name: 'with an expired one, accepted', server: lax, client: lateClient },
    { name: 'with one signed by itself', server: strict, client: self, refused: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    { name: 'with one that is not asked for', client },
  ],
};

onEachBackend((backend) => {
  describe.each(Object.entries(tables))('%s', (_, rows) => {
    test.each(rows)('$name', (row) =>
      withCore({ backend, threads: 0 }, async (core) => {
        const sessions = sessionSide(core);
        const expected = await play(nodeSide, nodeSide, row);
        const server = row.refused ? { failed: row.refused } : expected.server;
        // A session says by an alert why it refuses a peer, and node:tls does not.
        const failed = { failed: expect.any(String) };
        const loosely = (said: Said) => (said.failed === undefined ? said : failed);
        // The server has closed without a close_notify: node:tls takes that for an end.
        const cut = expected.client.failed === 'closed' && { failed: 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING' };
        const client = cut || expected.client;
        expect(await play(sessions, nodeSide, row)).toEqual({ server, client: loosely(expected.client) });
        expect(await play(nodeSide, sessions, row)).toEqual({ server: loosely(expected.server), client });
        const both = { server: loosely(expected.server), client: loosely(expected.client) };
        expect(await play(sessions, sessions, row)).toEqual(both);
        // A row in which nothing differs any more has no place for a difference.
        if (row.refused) expect(server).not.toEqual(expected.server);
      }),
    );
  });
});

async function play(serving: Side, asking: Side, { server = {}, client = {} }: Row) {
  const { port, said } = await serving.serve({ ...a, ...server });
  const asked = await asking.ask(port, { ca: [ca, rsaAuthority.cert], servername: 'a.test', ...client });
  return { server: await said, client: asked };
}
