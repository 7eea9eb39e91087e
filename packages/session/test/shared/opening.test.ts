// A broadcast of another thread that comes while a session opens.

import { LISTENER, type SharedSockets, type SocketPort } from '@overlapped/iocp-native/internal';
import { expect, test } from 'vitest';
import { SharedHost } from '../../src/shared/host.js';
import { HELD_WORDS, type HostedService } from '../../src/shared/protocol.js';
import { SharedSession } from '../../src/shared/shared-session.js';
import { SharedThread } from '../../src/shared/shared-thread.js';
import { blocksSize, createTable, ServiceField, SharedTable } from '../../src/shared/table.js';
import { tableInUse } from './audit.js';

const BLOCKS = 4;
const ADDRESS = 2 ** 20;
const SERVICE = 0;
const [LISTENING, ACCEPTED] = [7, 8];

test('reaches it when its socket is with the port, and not before', () => {
  const token = createTable(4, BLOCKS, ADDRESS, 2);
  const block = { bytes: Buffer.alloc(blocksSize(BLOCKS)), address: ADDRESS } as never;
  const service = { states: new SharedArrayBuffer(64), timeouts: {}, accepts: {}, tokens: null, clients: null };
  const sent: number[] = [];
  const sockets = {
    received: Buffer.alloc(16),
    send(fd: number, _bytes: Uint8Array, length: number) {
      sent.push(fd);
      return length;
    },
  } as unknown as SharedSockets;
  const other = new SharedHost(new SharedTable(token, block, 1, 1), {} as SocketPort, sockets);
  const sentAtAdd: number[][] = [];
  const port = {
    low: LISTENER,
    high: SERVICE,
    ready: 0,
    accept: () => ACCEPTED,
    armListener: () => 0,
    add() {
      other.broadcast('to all', '');
      sentAtAdd.push([...sent]);
      return 0;
    },
    arm: () => 0,
    idle: () => true,
  } as unknown as SocketPort;
  const table = new SharedTable(token, block, 0, 0);
  table.words[table.serviceAt(SERVICE) + ServiceField.Listener] = LISTENING + 1;
  const held = new Int32Array(HELD_WORDS).fill(-1);
  const thread = new SharedThread(
    table,
    port,
    sockets,
    held,
    async () => {},
    () => service as unknown as HostedService,
  );
  thread.host(SERVICE, 0, class extends SharedSession {} as never);
  thread.dispatch();
  expect([sentAtAdd, sent]).toEqual([[[]], []]);
  other.broadcast('to all', '');
  expect(sent).toEqual([ACCEPTED]);
  expect(tableInUse(table)).toMatchObject({ records: 1, sessions: 1, locks: 0 });
});
