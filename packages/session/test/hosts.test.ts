// Hosts as callers give them: a missing one, and addresses with a zone.

import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { isIocpError } from '@overlapped/iocp-native';
import { describe, expect, test } from 'vitest';
import { Connector, DatagramSession, Listener } from '../src/index.js';
import { closing, onEachBackend, read, withCore } from './support.js';

/** A link-local address of this machine, with its zone. */
const linkLocal = Object.entries(networkInterfaces()).flatMap(([name, list = []]) =>
  list.flatMap((at) =>
    at.family === 'IPv6' && at.scopeid > 0 ? [`${at.address}%${process.platform === 'win32' ? at.scopeid : name}`] : [],
  ),
)[0];

onEachBackend((backend) => {
  // An environment variable that is not set, in JavaScript.
  const unset = undefined as unknown as string;
  const none = null as unknown as string;

  test.each([unset, none, ''])('a host of %j is told at once, by an error', async (host) => {
    await withCore({ backend }, async (core) => {
      const connector = new Connector(core, { session: {} });
      const attempts = [
        connector.connect({ host, port: 1 }),
        DatagramSession.connect(core, { host, port: 1, session: {} }),
        // Without a host they take the default.
        ...(host === unset ? [] : [Listener.listen(core, { host, port: 0, session: {} })]),
        ...(host === unset ? [] : [DatagramSession.bind(core, { host, port: 0, session: {} })]),
      ];
      for (const attempt of await Promise.allSettled(attempts)) {
        const reason = (attempt as PromiseRejectedResult).reason;
        expect(reason).toBeInstanceOf(Error);
        expect(isIocpError(reason) || reason.code.startsWith('ERR_')).toBe(true);
        expect(reason.message).toMatch(/host/);
      }
    });
  });

  // Not on a machine that has no link-local address.
  describe.skipIf(linkLocal === undefined)('a link-local address', () => {
    test('clients from there are served, limited and listed as any', async () => {
      const allow = new net.BlockList();
      allow.addSubnet('fe80::', 10, 'ipv6');
      await withCore({ backend }, async (core) => {
        const { endpoint } = await Listener.listen(core, {
          port: 0,
          allow,
          maxSessionsPerAddress: 1,
          session: { onReceive: (session, data) => session.send(data) },
        });
        const at = { host: linkLocal!, port: endpoint.port };
        const peer = net.connect(at);
        peer.write('hello');
        expect(String(await read(peer, 5))).toBe('hello');
        const second = net.connect(at).on('error', () => {});
        await closing(second);
        peer.destroy();
      });
    });

    test('may be listened on and connected to', async () => {
      await withCore({ backend }, async (core) => {
        const session = { onReceive: (one: { send(data: Buffer): void }, data: Buffer) => one.send(data) };
        const { endpoint } = await Listener.listen(core, { host: linkLocal!, port: 0, session });
        expect(endpoint.address).toBe(linkLocal);
        const heard = new Promise<string>((resolve) => {
          const connector = new Connector(core, { session: { onReceive: (_, data) => resolve(String(data)) } });
          void connector.connect({ host: linkLocal!, port: endpoint.port }).then((client) => client.send('zone'));
        });
        expect(await heard).toBe('zone');
      });
    });

    test('a datagram session answers it, and goes on', async () => {
      await withCore({ backend }, async (core) => {
        const { local } = await DatagramSession.bind(core, {
          port: 0,
          session: { onMessage: (session, data, from) => session.send(data, { ...from }) },
        });
        const peer = dgram.createSocket('udp6');
        for (const text of ['one', 'two']) {
          const answer = once(peer, 'message');
          peer.send(text, local.port, linkLocal);
          expect(String((await answer)[0])).toBe(text);
        }
        peer.close();
      });
    });
  });
});
