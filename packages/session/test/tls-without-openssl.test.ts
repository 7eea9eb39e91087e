// Where OpenSSL's functions cannot be called, TLS is refused with the reason, and node:tls serves over the streams of sessions.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { makeCertificates } from './certificates.js';

const { a, ca } = await makeCertificates();
const folder = fileURLToPath(new URL('..', import.meta.url));

/** Runs a module in a Node.js that loads no native addon, so there is no koffi. Gives what it prints. */
function withoutAddons(script: string): string {
  const imports = `
    import tls from 'node:tls';
    import { Connector, IocpCore, Listener } from '@overlapped/session';
    const core = new IocpCore();
    const address = { host: '127.0.0.1', port: 0 };
    const [cert, key, ca] = process.argv.slice(1);`;
  const args = ['--no-addons', '--input-type=module', '-e', `${imports}${script}`, '--', a.cert, a.key, ca];
  return execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', timeout: 30_000 });
}

test('without koffi TLS is refused with the reason and the remedy', () => {
  const said = withoutAddons(`
    const note = ({ message, code, cause }) => console.log(code, message, '|', cause.code);
    console.log(core.backend);
    await Listener.listen(core, { ...address, tls: { cert, key }, session: {} }).catch(note);
    try { new Connector(core, { tls: { ca }, session: {} }); } catch (error) { note(error); }
    await core.stop();
  `);
  const refusal =
    'ENOTSUP Cannot use TLS: koffi does not load, so OpenSSL cannot be called; node:tls serves over session.toDuplex() (ENOTSUP, koffi) | ENOTSUP';
  expect(said.trim().split('\n')).toEqual(['portable', refusal, refusal]);
});

test('without koffi node:tls serves over the streams of sessions', () => {
  const said = withoutAddons(`
    const server = tls.createServer({ cert, key }, (socket) => socket.on('error', () => {}).pipe(socket));
    const onConnected = (session) => server.emit('connection', session.toDuplex());
    const { endpoint } = await Listener.listen(core, { ...address, session: { onConnected } });
    const session = await new Connector(core, { session: {} }).connect({ host: '127.0.0.1', port: endpoint.port });
    const socket = tls.connect({ socket: session.toDuplex(), servername: 'a.test', ca });
    socket.end('hello');
    for await (const data of socket) console.log(String(data), socket.authorized, socket.getProtocol());
    await core.stop();
  `);
  expect(said).toBe('hello true TLSv1.3\n');
});
