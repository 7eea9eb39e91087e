// A TCP gateway: bytes go between each client and a connection of its own to the server behind, with back-pressure in both
// directions, half-close, timeouts and limits. Run `node examples/gateway.js 7003 127.0.0.1 7000` in front of echo.js.

import { Connector, IocpCore, Listener, Session } from '@overlapped/session';

const [port = '7003', host = '127.0.0.1', upstreamPort = '7000'] = process.argv.slice(2);

/** One of the two connections. What it receives goes to the other one. */
class Side extends Session {
  /** @type {Side | undefined} */
  other;

  /** @param {Buffer} data */
  onReceive(data) {
    // The other side is slow: receive nothing more here, so that TCP slows this side down, too.
    if (!this.other?.send(data)) this.pause();
  }
  onDrain() {
    this.other?.resume();
  }
  onEnd() {
    this.other?.end();
  }
  /** @param {Error} [error] */
  onDisconnected(error) {
    if (!error) return; // an orderly end was passed on by onEnd()
    console.error(error.message);
    this.other?.destroy(); // a reset or a timeout is passed on as a reset
  }
}

class Client extends Side {
  async onConnected() {
    this.pause(); // until there is a connection to the server behind
    const session = () => Object.assign(new Upstream(), { other: this });
    await connector.connect({ host, port: Number(upstreamPort) }, { timeout: 5000, session }); // an error closes this session
  }
}

class Upstream extends Side {
  onConnected() {
    if (!this.other?.writable) return this.destroy(); // the client has gone in the meantime
    this.other.other = this;
    this.other.resume();
  }
}

const core = new IocpCore();
const connector = new Connector(core, { session: Side, allowHalfOpen: true, timeouts: { write: 30_000 } });
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(port),
  session: Client,
  allowHalfOpen: true, // a client may end its sending direction and still read
  maxSessionsPerAddress: 1000,
  timeouts: { read: 600_000, write: 30_000 },
});
console.log(`gateway on port ${endpoint.port} to ${host}:${upstreamPort}`);

process.once('SIGINT', () => core.stop());
