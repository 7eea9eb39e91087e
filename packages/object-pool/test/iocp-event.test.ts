// IocpEventPool against a model: who owns which event, and that a tag of an earlier use finds nobody.

import { AssertionError } from 'node:assert';
import { EVENT_SIZE, type NativeBlock, Operation } from '@overlapped/iocp-native';
import { debugging } from '@overlapped/iocp-native/internal';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IocpEvent, IocpEventPool } from '../src/index.js';
import { bug, pick, testBlock } from './support.js';

interface Use {
  readonly event: IocpEvent<string>;
  readonly tag: number;
  readonly owner: string;
  readonly operation: Operation;
}

interface Model {
  readonly live: Use[];
  /** Every use that has ended. Their tags are stale. */
  readonly ended: Use[];
}

type Pool = IocpEventPool<string>;
interface Step extends fc.Command<Model, Pool> {}

class Acquire implements Step {
  constructor(
    readonly owner: string,
    readonly operation: Operation,
  ) {}
  check = () => true;
  run(model: Model, pool: Pool): void {
    const event = pool.acquire(this.owner, this.operation);
    expect(event === null).toBe(model.live.length === CAPACITY);
    if (event !== null) {
      expect(model.live.map((use) => use.event)).not.toContain(event);
      model.live.push({ event, tag: event.tag, owner: this.owner, operation: this.operation });
    }
    agree(model, pool);
  }
  toString = () => `acquire(${this.owner}, ${this.operation})`;
}

class Release implements Step {
  constructor(readonly choice: number) {}
  check = (model: Model) => model.live.length > 0;
  run(model: Model, pool: Pool): void {
    const [use] = model.live.splice(this.choice % model.live.length, 1);
    pool.release(use!.event);
    // In debug mode, who asks is told that it has none any more.
    if (!debugging) expect(use!.event.owner).toBe(null);
    model.ended.push(use!);
    agree(model, pool);
  }
  toString = () => `release(${this.choice})`;
}

class ReleaseTwice implements Step {
  constructor(readonly choice: number) {}
  check = (model: Model) => model.ended.some((use) => isFree(use, model));
  run(model: Model, pool: Pool): void {
    const free = model.ended.filter((use) => isFree(use, model));
    expect(() => pool.release(pick(free, this.choice).event)).toThrow(AssertionError);
    agree(model, pool);
  }
  toString = () => `releaseTwice(${this.choice})`;
}

class ReleasePending implements Step {
  constructor(readonly choice: number) {}
  check = (model: Model) => model.live.length > 0;
  run(model: Model, pool: Pool): void {
    const { event } = pick(model.live, this.choice);
    event.pending = true;
    expect(() => pool.release(event)).toThrow(AssertionError);
    event.pending = false;
    agree(model, pool);
  }
  toString = () => `releasePending(${this.choice})`;
}

class ReleaseForeign implements Step {
  check = () => true;
  run(model: Model, pool: Pool): void {
    const other = new IocpEventPool<string>(testBlock(EVENT_SIZE * CAPACITY), CAPACITY);
    const foreign = other.acquire('other', Operation.Send)!;
    expect(() => pool.release(foreign)).toThrow(AssertionError);
    agree(model, pool);
  }
  toString = () => 'releaseForeign()';
}

function isFree(use: Use, model: Model): boolean {
  return model.live.every(({ event }) => event !== use.event);
}

function agree(model: Model, pool: Pool): void {
  expect(pool.out).toBe(model.live.length);
  for (const { event, tag, owner, operation } of model.live) {
    expect(pool.at(tag)).toBe(event);
    expect(event.tag).toBe(tag);
    expect([event.owner, event.operation]).toEqual([owner, operation]);
  }
  for (const { tag } of model.ended) expect(pool.at(tag)).toBe(null);
}

const CAPACITY = 4;
const steps = fc.commands(
  [
    fc
      .tuple(fc.string({ maxLength: 3 }), fc.constantFrom(...Object.values(Operation)))
      .map(([owner, operation]) => new Acquire(owner, operation)),
    fc.nat(100).map((choice) => new Release(choice)),
    fc.nat(100).map((choice) => new ReleaseTwice(choice)),
    fc.nat(100).map((choice) => new ReleasePending(choice)),
    fc.constant(new ReleaseForeign()),
  ],
  { maxCommands: 60, size: 'max' },
);

/** Bytes of whole pages that hold so many events. */
function pages(events: number): number {
  return Math.ceil((events * EVENT_SIZE) / 4096) * 4096;
}

function pool(capacity = CAPACITY): Pool {
  return new IocpEventPool<string>(testBlock(EVENT_SIZE * capacity), capacity);
}

test('a pool of events agrees with its model, whatever is acquired and released', () => {
  fc.assert(
    fc.property(steps, (commands) => {
      fc.modelRun(() => ({ model: { live: [], ended: [] }, real: pool() }), commands);
    }),
  );
});

test('no two events overlap, and each starts where an OVERLAPPED may', () => {
  const full = pool(64);
  const events = Array.from({ length: 64 }, () => full.acquire('me', Operation.Receive)!);
  expect(full.acquire('me', Operation.Receive)).toBe(null);
  const offsets = events.map((event) => event.offset).sort((a, b) => a - b);
  expect(offsets).toEqual(Array.from({ length: 64 }, (_, i) => i * EVENT_SIZE));
  for (const event of events) {
    expect((event.block.address + event.offset) % 16).toBe(0);
  }
});

// In debug mode they lie in one block, which has the guards.
test.skipIf(debugging)('a view of an event shows its neighbours at most, however many events there are', () => {
  const count = 2500;
  const block = testBlock(EVENT_SIZE * count);
  const large = new IocpEventPool<string>(block, count);
  const events = Array.from({ length: count }, () => large.acquire('me', Operation.Receive)!);
  const places = events.map((event) => event.block.address + event.offset - block.address);
  expect(places.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i * EVENT_SIZE));
  const blocks = new Set(events.map((event) => event.block));
  expect([...blocks].map((section) => section.bytes.length)).toEqual([1024, 1024, 452].map(pages));
  for (const event of events) event.block.words[event.offset >> 2] = event.index;
  expect(events.every((event) => event.block.words[event.offset >> 2] === event.index)).toBe(true);
});

test('a tag is 32 unsigned bits, differs for 4096 uses of a slot, and names its slot', () => {
  const one = pool(1);
  const seen = new Set<number>();
  for (let use = 0; use < 4096; use++) {
    const event = one.acquire('me', Operation.Send)!;
    expect(event.tag).toBe(event.tag >>> 0);
    expect(event.tag & 0xfffff).toBe(0);
    seen.add(event.tag);
    one.release(event);
  }
  expect(seen.size).toBe(4096);
});

test('tags of slots that never were out, or that do not exist, find nobody', () => {
  const some = pool();
  expect(some.at(0)).toBe(null);
  expect(some.at(0xfffff)).toBe(null);
  some.release(some.acquire('me', Operation.Send)!);
  // The tag that the slot will have next is nobody's yet.
  expect(some.at(1 << 20)).toBe(null);
});

// In debug mode each use has an event of its own, so that a late release is told from the next owner's.
test.skipIf(debugging)('events are made once and reused', () => {
  const some = pool();
  const first = some.acquire('me', Operation.Accept)!;
  expect(first).toBeInstanceOf(IocpEvent);
  some.release(first);
  expect(some.acquire('you', Operation.Send)).toBe(first);
});

test('a leak is named by kind', () => {
  const some = pool();
  some.assertEmpty();
  const sends = [some.acquire('a', Operation.Send)!, some.acquire('b', Operation.Send)!];
  some.acquire('c', Operation.Receive);
  expect(() => some.assertEmpty()).toThrow(bug('3 of 4 events (1 Receive, 2 Send) are out'));
  for (const event of sends) some.release(event);
  expect(() => some.assertEmpty()).toThrow('1 of 4 events (1 Receive) are out');
});

test('more events than a tag can name is a bug', () => {
  const endless = { size: Number.MAX_SAFE_INTEGER } as unknown as NativeBlock;
  expect(() => new IocpEventPool(endless, 2 ** 20 + 1)).toThrow(AssertionError);
});
