// The certificate of the TLS servers under measurement: a key on the curve P-256, made when a server starts.

import selfsigned from 'selfsigned';

export async function makeCertificate(): Promise<{ key: string; cert: string }> {
  const name = [{ name: 'commonName', value: 'bench.test' }];
  const { private: key, cert } = await selfsigned.generate(name, { keyType: 'ec', algorithm: 'sha256' });
  return { key, cert };
}
