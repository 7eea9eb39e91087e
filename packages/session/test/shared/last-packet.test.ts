// The kernel's last packet of a session that is over, on a port whose operations are the kernel's for a while, as on Windows.

import { Ready, type SharedSockets, type SocketPort } from '@overlapped/iocp-native/internal';
import { expect, test } from 'vitest';
import type { HostedService } from '../../src/shared/protocol.js';
import { SharedSession } from '../../src/shared/shared-session.js';
import { SharedThread } from '../../src/shared/shared-thread.js';
import { blocksSize, createTable, Field, Flag, SharedTable } from '../../src/shared/table.js';
import { tableInUse } from './audit.js';

const BLOCKS = 4;
const ADDRESS = 2 ** 20;
const SERVICE = 0;
const CLOSE = 2;

test('frees the record also if it comes while the session is about to end in another thread', () => {
  const token = createTable(4, BLOCKS, ADDRESS, 2);
  const block = { bytes: Buffer.alloc(blocksSize(BLOCKS)), address: ADDRESS };
  const service = { states: new SharedArrayBuffer(64), timeouts: {} } as unknown as HostedService;
  const sockets = { received: Buffer.alloc(16) } as unknown as SharedSockets;
  let kernelHasSend = true;
  let looks = 0;
  const port = (ready: number, looked: () => void) => ({
    low: 0,
    high: 0,
    ready,
    sent: 0,
    done() {
      kernelHasSend = false;
    },
    idle() {
      const idle = !kernelHasSend;
      if (looks++ === 0) looked();
      return idle;
    },
  });
  const threads = [port(0, () => threads[1]!.dispatch()), port(Ready.Write, () => {})].map((each, i) => {
    const table = new SharedTable(token, block as never, i, i);
    const held = new Int32Array(8);
    const thread = new SharedThread(
      table,
      each as unknown as SocketPort,
      sockets,
      held,
      async () => {},
      () => service,
    );
    thread.host(SERVICE, 0, class extends SharedSession {} as never);
    return thread;
  });
  const { table } = threads[0]!;
  const at = table.at(table.acquire(SERVICE));
  table.words[at + Field.Flags] = Flag.Open | Flag.Closing;
  table.words[at + Field.Pending] = CLOSE;
  table.words[at + Field.Turn] = 0;
  threads[0]!.dispatch();
  expect(kernelHasSend).toBe(false);
  expect(tableInUse(table)).toMatchObject({ records: 0, sessions: 0, lostRecords: 0, locks: 0 });
});
