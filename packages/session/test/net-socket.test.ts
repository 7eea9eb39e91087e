// A session's stream does what a net.Socket does: the rows of net-socket-*.ts, run against both.

import { describe, expect, test } from 'vitest';
import { pipes } from './net-socket-pipes.js';
import { endings, type Row } from './net-socket-rows.js';
import { reading, stats, writing } from './net-socket-traffic.js';
import { logOf, netPair, type Pair, sessionPair } from './streams.js';
import { closing, onEachBackend } from './support.js';

const tables = { endings, pipes, reading, writing, stats };

onEachBackend((backend) => {
  describe.each(Object.entries(tables))('%s', (_, rows) => {
    test.each(rows)('$name', async ({ run, differs }) => {
      const theirs = await play(run, await netPair());
      const ours = await play(run, await sessionPair(backend));
      const { because: _, ...expected } = { because: '', ...theirs, ...differs };
      expect(ours).toEqual(expected);
      // A difference that is none any more has no place in the table.
      if (differs) expect(ours).not.toEqual(theirs);
    });
  });
});

async function play(run: Row['run'], { socket, peer }: Pair) {
  const stage = {
    socket,
    peer,
    log: logOf(socket),
    notes: [] as string[],
    peerLog: logOf(peer, ['end', 'error', 'close']),
    closed: closing(socket),
    peerClosed: closing(peer),
  };
  await run(stage);
  const { log, notes, peerLog } = stage;
  return { log, notes, peerLog };
}
