// Certificates for the tests of TLS: an authority, two servers, and a client.

import selfsigned from 'selfsigned';

type Authority = Awaited<ReturnType<typeof selfsigned.generate>>;

interface Identity {
  readonly key: string;
  readonly cert: string;
}

const common = { keyType: 'ec', algorithm: 'sha256' } as const;

function named(value: string) {
  return [{ name: 'commonName', value }];
}

async function issue(authority: Authority, name: string): Promise<Identity> {
  const { private: key, cert } = await selfsigned.generate(named(name), {
    ...common,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: name }] }],
  });
  return { key, cert };
}

export async function makeCertificates() {
  const authority = await selfsigned.generate(named('The authority'), {
    ...common,
    extensions: [{ name: 'basicConstraints', cA: true, critical: true }],
  });
  const [a, b, client] = await Promise.all(['a.test', 'b.test', 'a client'].map((name) => issue(authority, name)));
  return { ca: authority.cert, a: a!, b: b!, client: client! };
}
