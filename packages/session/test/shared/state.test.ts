// The state of a shared session: against a plain object, at the bounds of each type, and what does not compile.

import fc from 'fast-check';
import { expect, expectTypeOf, test } from 'vitest';
import {
  type BindableState,
  kBind,
  kUnbind,
  StateLayout,
  type StateOf,
  stateMemory,
} from '../../src/shared/state/layout.js';
import {
  array,
  bool,
  bytes,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  type StateType,
  text,
  u8,
  u16,
  u32,
} from '../../src/shared/state/types.js';

/** As JavaScript sees a state. */
// biome-ignore lint/suspicious/noExplicitAny: values of any type are tried
type Fields = Record<string, any>;

const STATES = 3;
const ROOM = 20;
const ELEMENTS = 3;

const fitting = fc.string({ unit: 'binary', maxLength: ROOM }).filter((value) => Buffer.byteLength(value) <= ROOM);

/** Each type of one value, and the values that it can have. */
const VALUES: Record<
  string,
  { readonly type: StateType<unknown>; readonly values: fc.Arbitrary<unknown>; zero: unknown }
> = {
  u8: { type: u8, values: fc.integer({ min: 0, max: 255 }), zero: 0 },
  u16: { type: u16, values: fc.integer({ min: 0, max: 65_535 }), zero: 0 },
  u32: { type: u32, values: fc.integer({ min: 0, max: 2 ** 32 - 1 }), zero: 0 },
  i8: { type: i8, values: fc.integer({ min: -128, max: 127 }), zero: 0 },
  i16: { type: i16, values: fc.integer({ min: -32_768, max: 32_767 }), zero: 0 },
  i32: { type: i32, values: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), zero: 0 },
  i64: { type: i64, values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), zero: 0n },
  f32: { type: f32, values: fc.float(), zero: 0 },
  f64: { type: f64, values: fc.double(), zero: 0 },
  bool: { type: bool, values: fc.boolean(), zero: false },
  text: { type: text(ROOM), values: fitting, zero: '' },
  bytes: { type: bytes(ROOM), values: fc.uint8Array({ maxLength: ROOM }), zero: Buffer.alloc(0) },
};
const KINDS = Object.keys(VALUES);

const fields = fc.array(fc.record({ kind: fc.constantFrom(...KINDS), isArray: fc.boolean() }), {
  minLength: 1,
  maxLength: 12,
});
const step = fc.record({ state: fc.nat(STATES - 1), field: fc.nat(), index: fc.nat(ELEMENTS - 1) });

const plain = (value: unknown) => (value instanceof Uint8Array ? [...value] : value);

test.each([
  ['a SharedArrayBuffer', (size: number) => new SharedArrayBuffer(size)],
  ['an ArrayBuffer', (size: number) => new ArrayBuffer(size)],
])('states in %s are what plain objects would be', (_, allocate) => {
  fc.assert(
    fc.property(fields, fc.array(step, { maxLength: 40 }), fc.gen(), (list, steps, gen) => {
      const named = list.map((field, index) => ({ ...field, name: `${field.kind}${index}` }));
      const typeOf = ({ kind, isArray }: (typeof list)[number]) =>
        isArray ? array(VALUES[kind]!.type, ELEMENTS) : VALUES[kind]!.type;
      const layout = new StateLayout(Object.fromEntries(named.map((field) => [field.name, typeOf(field)])));
      expect(layout.size % 8).toBe(0);
      const memory = stateMemory(allocate(layout.size * STATES));
      memory.bytes.fill(0xa5);
      for (let i = 0; i < STATES; i++) layout.clear(memory, i * layout.size);
      const view = layout.createView(memory) as BindableState & Fields;
      const zero = () =>
        Object.fromEntries(
          named.map(({ name, kind, isArray }) => {
            const value = plain(VALUES[kind]!.zero);
            return [name, isArray ? Array.from({ length: ELEMENTS }, () => value) : value];
          }),
        );
      const model = Array.from({ length: STATES }, zero);
      const read = () =>
        Object.fromEntries(
          named.map(({ name, isArray }) => [name, isArray ? [...view[name]].map(plain) : plain(view[name])]),
        );
      for (const action of steps) {
        const { name, kind, isArray } = named[action.field % named.length]!;
        const value = gen(() => VALUES[kind]!.values);
        view[kBind](action.state * layout.size);
        if (isArray) {
          view[name].set(action.index, value);
          expect(plain(view[name].get(action.index))).toEqual(plain(value));
          (model[action.state]![name] as unknown[])[action.index] = plain(value);
        } else {
          view[name] = value;
          model[action.state]![name] = plain(value);
        }
        for (let i = 0; i < STATES; i++) {
          view[kBind](i * layout.size);
          expect(read()).toEqual(model[i]);
        }
      }
    }),
    { numRuns: 60 },
  );
});

const schema = {
  hp: u32,
  level: u8,
  tiles: u16,
  dx: i8,
  dy: i16,
  gold: i32,
  when: i64,
  x: f32,
  y: f64,
  on: bool,
  name: text(5),
  key: bytes(3),
  pos: array(f32, 3),
  tags: array(text(2), 2),
};

function open(): { state: StateOf<typeof schema>; bind(at: number): void; unbind(): void; bytes: Buffer } {
  const layout = new StateLayout(schema);
  const memory = stateMemory(new SharedArrayBuffer(layout.size));
  const state = layout.createView(memory);
  state[kBind](0);
  return { state, bind: (at) => state[kBind](at), unbind: () => state[kUnbind](), bytes: memory.bytes };
}

test.each<[string, (state: Fields) => void, string]>([
  ['u8', (s) => (s.level = 256), 'Cannot set level: 256 is not a whole number from 0 to 255'],
  ['u16', (s) => (s.tiles = -1), 'Cannot set tiles: -1 is not a whole number from 0 to 65535'],
  ['u32', (s) => (s.hp = 2 ** 32), 'Cannot set hp: 4294967296 is not a whole number from 0 to 4294967295'],
  ['a fraction', (s) => (s.hp = 1.5), 'Cannot set hp: 1.5 is not a whole number from 0 to 4294967295'],
  ['NaN', (s) => (s.hp = Number.NaN), 'Cannot set hp: NaN is not a whole number from 0 to 4294967295'],
  ['i8', (s) => (s.dx = 128), 'Cannot set dx: 128 is not a whole number from -128 to 127'],
  ['i16', (s) => (s.dy = -32_769), 'Cannot set dy: -32769 is not a whole number from -32768 to 32767'],
  [
    'i32',
    (s) => (s.gold = 2 ** 31),
    'Cannot set gold: 2147483648 is not a whole number from -2147483648 to 2147483647',
  ],
  ['i64', (s) => (s.when = 2n ** 63n), 'Cannot set when: 9223372036854775808 needs more than 64 bits'],
  ['i64, a number', (s) => (s.when = 1), 'Cannot set when: the value must be a bigint'],
  ['u32, a string', (s) => (s.hp = '1'), 'Cannot set hp: the value must be a number'],
  ['f32, a bigint', (s) => (s.x = 1n), 'Cannot set x: the value must be a number'],
  ['f64, undefined', (s) => (s.y = undefined), 'Cannot set y: the value must be a number'],
  ['bool, a number', (s) => (s.on = 1), 'Cannot set on: the value must be true or false'],
  ['text, a number', (s) => (s.name = 1), 'Cannot set name: the value must be a string'],
  ['text in UTF-8', (s) => (s.name = '가나'), 'Cannot set name: the value has 6 bytes, and there is room for 5'],
  ['a lone surrogate', (s) => (s.name = 'a\ud800'), 'Cannot set name: the string has a lone surrogate'],
  ['bytes', (s) => (s.key = new Uint8Array(4)), 'Cannot set key: the value has 4 bytes, and there is room for 3'],
  ['bytes, a string', (s) => (s.key = 'abc'), 'Cannot set key: the value must be a Buffer or a Uint8Array'],
  ['an element', (s) => s.pos.set(0, '1'), 'Cannot set pos: the value must be a number'],
  [
    'a text in an array',
    (s) => s.tags.set(1, 'abc'),
    'Cannot set tags: the value has 3 bytes, and there is room for 2',
  ],
  ['an index behind the end', (s) => s.pos.set(3, 1), 'Cannot use element 3: the array has 3 elements'],
  ['an index below 0', (s) => s.pos.get(-1), 'Cannot use element -1: the array has 3 elements'],
  ['an index between two', (s) => s.pos.get(0.5), 'Cannot use element 0.5: the array has 3 elements'],
])('%s: what does not fit is refused, and nothing is written', (_, act, message) => {
  const { state, bytes: all } = open();
  all.fill(0x5a);
  expect(() => act(state)).toThrow(message);
  expect(all.every((byte) => byte === 0x5a)).toBe(true);
});

test('a shorter text or bytes hides the rest of a longer one', () => {
  const { state } = open();
  state.name = 'abcde';
  state.key = Buffer.from([1, 2, 3]);
  state.name = '나';
  state.key = Buffer.from([9]);
  expect([state.name, [...state.key]]).toEqual(['나', [9]]);
});

test('what a read gave is a copy', () => {
  const { state } = open();
  const key = Buffer.from([1, 2, 3]);
  state.key = key;
  key[0] = 7;
  const read = state.key;
  read[1] = 8;
  expect([...state.key]).toEqual([1, 2, 3]);
});

test('an object that lies about its length is read by its internal slots', () => {
  const { state } = open();
  const liar = new (class extends Uint8Array {
    override get length(): number {
      return 2 ** 20;
    }
    override get byteOffset(): number {
      return -1;
    }
  })([1, 2]);
  state.key = liar;
  expect([...state.key]).toEqual([1, 2]);
});

test('a length in memory that was overwritten does not have a read go past the field', () => {
  const { state, bytes: all } = open();
  state.name = 'abc';
  all.fill(0xff);
  expect(Buffer.byteLength(state.name, 'latin1')).toBeLessThanOrEqual(5);
  expect(state.key.length).toBe(3);
});

test('a view that is bound to no state throws, and so do its arrays', () => {
  const { state, bind, unbind } = open();
  state.hp = 5;
  const { pos } = state;
  unbind();
  const over = 'Cannot use the state of a session: the turn that it was for is over';
  expect(() => state.hp).toThrow(over);
  expect(() => {
    state.hp = 1;
  }).toThrow(over);
  expect(() => pos.get(0)).toThrow(over);
  expect(() => pos.set(0, 1)).toThrow(over);
  bind(0);
  expect(state.hp).toBe(5);
});

test('a state has the fields of its schema and no others', () => {
  const { state } = open();
  expect(() => {
    (state as { nope?: number }).nope = 1;
  }).toThrow(TypeError);
  expect(() => {
    (state as { pos: unknown }).pos = [1, 2, 3];
  }).toThrow(TypeError);
});

test('a size is known, and has no gaps between fields', () => {
  expect(new StateLayout({}).size).toBe(0);
  expect(new StateLayout({ a: u8, b: f64, c: u8, d: u32, e: u16 }).size).toBe(16);
  expect(new StateLayout({ hp: u32, name: text(24), pos: array(f32, 3) }).size).toBe(48);
});

test('each field lies at a multiple of its alignment', () => {
  const layout = new StateLayout({ a: u8, b: f64, c: text(1), d: array(u32, 2), e: u16 });
  const memory = stateMemory(new ArrayBuffer(layout.size));
  const state = layout.createView(memory);
  state[kBind](0);
  state.b = 1;
  state.d.set(1, 0x01020304);
  state.c = 'x';
  state.e = 0x0506;
  state.a = 7;
  expect([...memory.bytes]).toEqual([
    ...[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
    ...[0, 0, 0, 0, 4, 3, 2, 1],
    ...[1, 0, 120, 0, 6, 5, 7, 0],
  ]);
});

test.each<[string, () => unknown, string]>([
  ['no type', () => new StateLayout({ hp: 4 as never }), 'Cannot lay out the state: hp must have a type'],
  ['a lookalike', () => new StateLayout({ hp: { size: 4 } as never }), 'Cannot lay out the state: hp must have a type'],
  ['an array of arrays', () => array(array(u8, 2) as never, 2), 'takes a type of one value'],
  ['no element', () => array(u8, 0), 'must be a whole number from 1 to 65535, and is 0'],
  ['a negative size', () => text(-1), 'must be a whole number from 1 to 65535, and is -1'],
  ['too large a size', () => bytes(65_536), 'must be a whole number from 1 to 65535, and is 65536'],
  ['a size that is no number', () => text('3' as never), 'n of text(n) must be a number'],
  ['a state over the limit', () => new StateLayout({ all: array(bytes(1024), 1024) }), 'the limit is 1048576'],
])('a schema with %s is refused', (_, make, message) => {
  expect(make).toThrow(message);
});

test('types follow from the schema', () => {
  const { state } = open();
  expectTypeOf(state.hp).toEqualTypeOf<number>();
  expectTypeOf(state.when).toEqualTypeOf<bigint>();
  expectTypeOf(state.on).toEqualTypeOf<boolean>();
  expectTypeOf(state.name).toEqualTypeOf<string>();
  expectTypeOf(state.key).toEqualTypeOf<Uint8Array>();
  expectTypeOf(state.pos.get(0)).toEqualTypeOf<number>();
  expectTypeOf(state.tags.get(0)).toEqualTypeOf<string>();
  // Compiled, and never called.
  void (() => {
    // @ts-expect-error a field that the schema does not have
    state.nope;
    // @ts-expect-error a string for a number
    state.hp = '1';
    // @ts-expect-error a number for a bigint
    state.when = 1;
    // @ts-expect-error a number for a string
    state.name = 1;
    // @ts-expect-error a string for bytes
    state.key = 'abc';
    // @ts-expect-error an array is written element by element
    state.pos = [1, 2, 3];
    // @ts-expect-error a string for an element
    state.pos.set(0, '1');
    // @ts-expect-error no type
    new StateLayout({ hp: 4 });
    // @ts-expect-error an array of arrays
    array(array(u8, 2), 2);
  });
});

/** As the base class of sessions does it: the type argument names the subclass's own schema. */
class Base<Schema extends Record<string, StateType<unknown>>> {
  declare readonly state: StateOf<Schema>;
}

class Player extends Base<typeof Player.state> {
  static readonly state = { hp: u32, name: text(24) };

  hit(): number {
    // @ts-expect-error a field that the schema does not have
    void (() => this.state.mana);
    // @ts-expect-error a string for a number
    void (() => (this.state.hp = 'x'));
    return this.state.hp;
  }
}

test('a subclass has the types of its own schema', () => {
  expectTypeOf<Player['state']['name']>().toEqualTypeOf<string>();
  expect(new StateLayout(Player.state).size).toBe(32);
});
