// A server of text commands, one a line. Run `node examples/lines.js`, then type `help` into `nc 127.0.0.1 7001`.

import { framed, IocpCore, Listener, lines } from '@overlapped/session';

/** @type {Record<string, (argument: string) => string>} */
const commands = {
  help: () => `commands: ${Object.keys(commands).join(', ')}, quit`,
  time: () => new Date().toISOString(),
  upper: (argument) => argument.toUpperCase(),
};

const core = new IocpCore();
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7001),
  // A line above 1000 bytes closes its session with EMSGSIZE.
  session: framed(lines({ maxFrameLength: 1000 }), {
    onConnected: (session) => session.sendPacket('hello'),
    onPacket(session, line) {
      const [name = '', ...rest] = line.toString().split(' ');
      if (name === 'quit') session.end('bye\n');
      else if (!Object.hasOwn(commands, name)) session.sendPacket('unknown command; try help');
      // Pause when the answers are not read: no more commands are delivered until they are.
      else if (!session.sendPacket(commands[name]?.(rest.join(' ')) ?? '')) session.pause();
    },
    onDrain: (session) => session.resume(),
  }),
  timeouts: { read: 300_000, frame: 10_000 },
});
console.log(`lines on port ${endpoint.port}`);

process.once('SIGINT', () => core.stop());
