// Frames over TLS: a server that sends each line back in upper case. Make a certificate:
// `openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost`. Run
// `node examples/tls.js 7009 cert.pem key.pem`, then type lines into `openssl s_client -quiet -connect 127.0.0.1:7009`.

import { readFileSync } from 'node:fs';
import { framed, IocpCore, Listener, lines } from '@overlapped/session';

const [port = '7009', cert = 'cert.pem', key = 'key.pem'] = process.argv.slice(2);
const credentials = () => ({ cert: readFileSync(cert), key: readFileSync(key) });

const core = new IocpCore();
const listener = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(port),
  tls: credentials(),
  session: framed(lines({ maxFrameLength: 1000 }), {
    // The handshake is done: handlers send and receive plain bytes.
    onConnected: (session) => void session.sendPacket(`hello over ${session.tls?.protocol}`),
    onPacket(session, line) {
      if (!session.sendPacket(line.toString().toUpperCase())) session.pause();
    },
    onDrain: (session) => session.resume(),
    // A peer that ends without saying so (close_notify) may have been cut off: that is an error.
    onDisconnected: (_, error) => error && console.error(error.message),
  }),
});
console.log(`lines over TLS on port ${listener.endpoint.port}`);

// Certificates are replaced while connections go on.
process.on('SIGHUP', () => listener.setTls(credentials()).catch(console.error));
process.once('SIGINT', () => core.stop());
