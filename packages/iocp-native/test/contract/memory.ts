// Rules about memory: what a view of received bytes reaches, how long it may be kept, and which addresses go to the kernel.

import { AssertionError } from 'node:assert';
import { expect } from 'vitest';
import { EVENT_SIZE, GatherList, type Overlapped } from '../../src/contract/port.js';
import type { NativeBlock } from '../../src/native/memory.js';
import type { Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';

/** One buffer of 256 bytes for all that comes. */
const ONE = { receiveBuffers: { count: 1, size: 256 } };

type Transferable = ArrayBuffer & { transfer?(): ArrayBuffer };

/** Runs `look` for each piece of what comes, until as many bytes are there as `texts` have, one after the other. */
async function exchange(r: Rig, texts: readonly string[], look: (data: Buffer) => void): Promise<string> {
  const { socket, peer } = await r.served();
  const stream = r.event();
  let seen = '';
  r.pump.tap(stream, ({ data }) => {
    // The last one has none.
    if (data === null) return;
    seen += data.toString('latin1');
    look(data);
  });
  r.port.receive(socket, stream);
  let sent = 0;
  for (const text of texts) {
    await peer.write(text);
    sent += text.length;
    await r.pump.until(`${sent} bytes`, () => seen.length === sent);
  }
  await r.close(socket);
  return seen;
}

export function memory(suite: Suite): void {
  suite.rule('the memory of a view has what came, and nothing of what came before', async () => {
    const r = suite.rig(ONE);
    const wholes: string[] = [];
    await exchange(r, ['secret'.repeat(30), 'short', 'longer than that', 'x'], (data) => {
      wholes.push(Buffer.from(data.buffer, data.byteOffset).toString('latin1').replace(/\0+$/, ''));
    });
    expect(wholes.join('|')).toMatch(/\|short\|longer than that\|x$/);
  });

  suite.rule('memory that a user detaches serves the next message all the same', async () => {
    const r = suite.rig(ONE);
    const texts = ['one', 'two', 'three', 'four', 'five'];
    const seen = await exchange(r, texts, (data) => {
      const memory = data.buffer as Transferable;
      try {
        structuredClone(memory, { transfer: [memory] });
      } catch (error) {
        expect((error as Error).name).toBe('DataCloneError');
      }
      try {
        memory.transfer?.();
      } catch (error) {
        // Newer versions of Node do not detach what may not be posted.
        expect(error).toBeInstanceOf(TypeError);
      }
    });
    expect(seen).toBe(texts.join(''));
  });

  suite.rule('what is kept past the end of its port reads zeros, and stays apart from the next port', async () => {
    const old = suite.rig(ONE);
    const kept: Buffer[] = [];
    await exchange(old, ['hunter2'], (data) => kept.push(data, Buffer.from(data.buffer)));
    const block = old.port.allocate(8192);
    kept.push(block.bytes.fill(0xff));
    old.pump.end();
    old.port.destroy();
    const r = suite.rig(ONE);
    const fresh = r.port.allocate(8192);
    const clean = () => kept.every((view) => view.every((byte) => byte === 0));
    const checks: boolean[] = [];
    expect(await exchange(r, ['password'], () => checks.push(clean()))).toBe('password');
    expect(checks).toEqual([true]);
    // Late writes reach no other port either.
    for (const view of kept) view.fill(0xee);
    expect(await exchange(r, ['again'], (data) => checks.push(data.includes(0xee)))).toBe('again');
    expect([checks[1], fresh.bytes.includes(0xee)]).toEqual([false, false]);
  });

  suite.rule('what is sent lies in a block of a port, and in one receive buffer', () => {
    const { port } = suite.rig({ receiveBuffers: { count: 4, size: 256 } });
    const { receiveBlock } = port;
    const list = new GatherList();
    const byHand = { address: receiveBlock.address, size: 1e9, bytes: Buffer.alloc(1), words: new Uint32Array(1) };
    for (const block of [byHand, Object.create(receiveBlock), new Proxy(receiveBlock, {})]) {
      expect(() => list.add(block as unknown as NativeBlock, 0, 1)).toThrow(AssertionError);
    }
    expect(() => list.add(receiveBlock, 0, 257)).toThrow(AssertionError);
    expect(() => list.add(receiveBlock, 255, 2)).toThrow(AssertionError);
    expect(list.count).toBe(0);
    expect(list.add(receiveBlock, 0, 256)).toBe(true);
    expect(() => Object.assign(list, { count: 24 })).toThrow(TypeError);
    expect(() => Object.assign(list, { bytes: 1e6 })).toThrow(TypeError);
  });

  suite.rule('an event lies in a block of a port, where there is room for it', async () => {
    const r = suite.rig();
    const { socket } = await r.served();
    const block = r.port.allocate(EVENT_SIZE);
    const bad: Pick<Overlapped, 'block' | 'offset'>[] = [
      ...[-(2 ** 40), -16, 8, 0.5, block.size, block.size - 16].map((offset) => ({ block, offset })),
      {
        block: { address: 4096, size: 4096, bytes: Buffer.alloc(4096), words: new Uint32Array(1024) } as never,
        offset: 0,
      },
    ];
    for (const place of bad) {
      const event = { ...place, tag: 1, pending: false };
      expect(() => r.port.send(socket, event, r.gather('x'))).toThrow(AssertionError);
      expect(event.pending).toBe(false);
    }
  });
}
