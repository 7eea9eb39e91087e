// Certificates for the tests of TLS: an authority, two servers, a client, and others with one or several faults.

import selfsigned from 'selfsigned';

export interface Identity {
  readonly key: string;
  readonly cert: string;
}

interface Issue {
  readonly name: string;
  readonly by?: Identity;
  readonly authority?: boolean;
  /** Days from now. */
  readonly from?: number;
  readonly until?: number;
  readonly rsa?: boolean;
}

const DAY = 86_400_000;

export async function issue({ name, by, authority, from = -1, until = 365, rsa }: Issue): Promise<Identity> {
  const { private: key, cert } = await selfsigned.generate([{ name: 'commonName', value: name }], {
    ...(rsa ? { keyType: 'rsa', keySize: 2048 } : { keyType: 'ec' }),
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() + from * DAY),
    notAfterDate: new Date(Date.now() + until * DAY),
    ...(by && { ca: by }),
    extensions: authority
      ? [{ name: 'basicConstraints', cA: true, critical: true }]
      : [{ name: 'subjectAltName', altNames: [{ type: 2, value: name }] }],
  });
  return { key, cert };
}

export async function makeCertificates() {
  const authority = await issue({ name: 'The authority', authority: true });
  const [a, b, client] = await Promise.all(
    ['a.test', 'b.test', 'a client'].map((name) => issue({ name, by: authority })),
  );
  return { authority, ca: authority.cert, a: a!, b: b!, client: client! };
}
