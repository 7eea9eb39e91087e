// Where the system says that sockets of IPv6 have no IPv4 peers (net.ipv6.bindv6only): in a network namespace, which only
// Linux has, and only where this user may make one.

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { candidates } from '../src/backend.js';
import { library } from './support/threads.js';

const prepare = 'ip link set lo up && sysctl -qw net.ipv6.bindv6only=1';
const isolated = (...command: string[]) =>
  spawnSync('unshare', ['-Urn', 'sh', '-c', ...command], { encoding: 'utf8', timeout: 30_000 });
const possible = process.platform === 'linux' && isolated(prepare).status === 0;

// Two peers, one of each family, are heard and answered by a socket on "::", and by one that is for IPv6 alone as it should be.
const script = (backend: string) => `
  import dgram from 'node:dgram';
  import { once } from 'node:events';
  import { createBatch, GatherList, openPort } from ${JSON.stringify(library)};
  const port = openPort({ backend: ${JSON.stringify(backend)} });
  const block = port.allocate(4096);
  const event = (offset) => ({ block, offset, tag: offset, pending: false });
  const batch = createBatch(8);
  const next = async () => {
    for (;;) {
      if (port.dequeue(batch.slice(0, 1), 0) === 1) return batch[0];
      await new Promise((resolve) => port.watch(resolve));
      port.unwatch();
    }
  };
  const socket = await port.bind({ address: '::', family: 6, port: 0 });
  const { port: number } = socket.localEndpoint();
  port.receive(socket, event(0));
  for (const [type, address] of [['udp4', '127.0.0.1'], ['udp6', '::1']]) {
    const peer = dgram.createSocket(type);
    peer.send('hello', number, address);
    const { data, from, buffer } = await next();
    console.log(String(data), from.address);
    port.release(buffer);
    const pieces = new GatherList();
    block.bytes.write('back', 2048);
    pieces.add(block, 2048, 4);
    for (const to of [from, { ...from }, ...(type === 'udp4' ? [{ ...from, address, family: 4 }] : [])]) {
      const answer = once(peer, 'message');
      port.sendTo(socket, event(512), pieces, to);
      const { error } = await next();
      console.log(error?.code ?? 'sent', String((await answer)[0]));
    }
    peer.close();
  }
  port.close(socket);
  await next();
  await next();
  console.log('closed', port.stats.sockets);
  port.destroy();
`;

// Not where there is no network namespace to be had.
describe.skipIf(!possible)('net.ipv6.bindv6only = 1 (not tested where there is no network namespace to be had)', () => {
  for (const { name, availability } of candidates()) {
    // Only backends that can serve here.
    it.skipIf(!availability.available)(`${name}: a socket on :: has IPv4 peers all the same`, () => {
      const command = `${prepare} && exec "$0" --input-type=module -e "$1"`;
      const { stdout, stderr } = isolated(command, process.execPath, script(name));
      expect(stderr).toBe('');
      expect(stdout.trim().split('\n')).toEqual([
        'hello ::ffff:127.0.0.1',
        ...Array(3).fill('sent back'),
        'hello ::1',
        ...Array(2).fill('sent back'),
        'closed 0',
      ]);
    });
  }
});
