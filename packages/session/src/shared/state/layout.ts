// Where the fields of a shared session's state lie, and the views of such states.
//
// A state is one piece of memory. Its fields come in the order of their alignment, the largest first, so that there is no gap
// between them; fields of one alignment keep the order of the schema. The size is a multiple of ALIGN. So each thread, which loads
// the schema by itself, finds the fields at the same places.

import { StateArray } from './array.js';
import { isArrayType, isValueType, type StateArrayType, type StateMemory, type StateType } from './types.js';

/** A state starts at a multiple of so many bytes. */
const ALIGN = 8;
/** The base of a view that is bound to no state. */
const UNBOUND = -1;
/** Limit of a state, in bytes. */
const MOST = 2 ** 20;

/** The fields of a shared session's state, by name. */
export type StateSchema = Readonly<Record<string, StateType<unknown> | StateArrayType<unknown>>>;

/** A state with the fields of a schema: a property for each, of the field's type. An array is a `StateArray`. */
export type StateOf<Schema extends StateSchema> = {
  -readonly [Name in keyof Schema as Schema[Name] extends StateType<unknown>
    ? Name
    : never]: Schema[Name] extends StateType<infer Value> ? Value : never;
} & {
  readonly [Name in keyof Schema as Schema[Name] extends StateArrayType<unknown>
    ? Name
    : never]: Schema[Name] extends StateArrayType<infer Value> ? StateArray<Value> : never;
};

/** Binds a view to the state at this offset, a multiple of 8. One store. */
export const kBind: unique symbol = Symbol('bind');
/** After this, each access throws a TypeError until the view is bound again. */
export const kUnbind: unique symbol = Symbol('unbind');

/** The methods of a view besides its fields. */
export interface BindableState {
  [kBind](at: number): void;
  [kUnbind](): void;
}

interface Place {
  readonly name: string;
  /** The type of the field, or of an array's elements. */
  readonly type: StateType<unknown>;
  /** Elements of an array, or 0 for a field that is none. */
  readonly length: number;
  readonly size: number;
}

/** A field with the place that it was given in the state. */
type Placed = Place & { readonly offset: number };

/** The memory of states, as this thread sees it. */
export function stateMemory(memory: ArrayBufferLike): StateMemory {
  return { view: new DataView(memory), bytes: Buffer.from(memory) };
}

/** The places of a schema's fields. */
export class StateLayout<Schema extends StateSchema> {
  /** The size of a state, in bytes: a multiple of 8. */
  readonly size: number;
  readonly #arrays: readonly Placed[];
  readonly #View: typeof StateView;

  /** Throws a TypeError for a field that has no type, and a RangeError for a state of more than 1 MiB. */
  constructor(schema: Schema) {
    const places = Object.entries(schema).map(([name, type]) => measure(name, type));
    places.sort((one, other) => other.type.align - one.type.align);
    let offset = 0;
    const fields: Placed[] = [];
    for (const place of places) {
      fields.push({ ...place, offset });
      offset += place.size;
    }
    if (offset > MOST)
      throw new RangeError(`Cannot lay out the state: it has ${offset} bytes, and the limit is ${MOST}`);
    this.size = Math.ceil(offset / ALIGN) * ALIGN;
    this.#arrays = fields.filter(({ length }) => length > 0);
    // A class for each layout, whose prototype has the accessors.
    this.#View = class extends StateView {};
    for (const field of fields) StateView.define(this.#View.prototype, field, this.#arrays.indexOf(field));
  }

  /** A view, bound to no state yet. */
  createView(memory: StateMemory): StateOf<Schema> & BindableState {
    const view: BindableState = new this.#View(memory, this.#arrays);
    // In JavaScript, setting a field that the schema does not have throws, too.
    return Object.preventExtensions(view) as StateOf<Schema> & BindableState;
  }

  /** Zeroes the state at this offset: numbers are 0, texts and bytes are empty. */
  clear(memory: StateMemory, at: number): void {
    memory.bytes.fill(0, at, at + this.size);
  }
}

/** The size of a type is a multiple of its alignment, so the elements of an array need no gaps. */
function measure(name: string, type: unknown): Place {
  if (isValueType(type)) return { name, type, length: 0, size: type.size };
  if (isArrayType(type))
    return { name, type: type.element, length: type.length, size: type.element.size * type.length };
  throw new TypeError(`Cannot lay out the state: ${name} must have a type, such as u32 or text(24)`);
}

class StateView implements BindableState {
  readonly #memory: StateMemory;
  readonly #arrays: readonly StateArray<unknown>[];
  #base = UNBOUND;

  constructor(memory: StateMemory, arrays: readonly Placed[]) {
    this.#memory = memory;
    this.#arrays = arrays.map(
      ({ name, type, length, offset }) =>
        new StateArray<unknown>(
          length,
          (index) => type.read(memory, this.#at(offset + index * type.size)),
          (index, value) => type.write(memory, this.#at(offset + index * type.size), value, name),
        ),
    );
  }

  /** Defines the accessors of a field. `arrayIndex` is that of an array among the arrays of its layout. */
  static define(prototype: StateView, { name, type, length, offset }: Placed, arrayIndex: number): void {
    if (length > 0) {
      const get = function (this: StateView) {
        return this.#arrays[arrayIndex];
      };
      Object.defineProperty(prototype, name, { get, enumerable: true });
      return;
    }
    Object.defineProperty(prototype, name, {
      get(this: StateView) {
        return type.read(this.#memory, this.#at(offset));
      },
      set(this: StateView, value: unknown) {
        type.write(this.#memory, this.#at(offset), value, name);
      },
      enumerable: true,
    });
  }

  [kBind](at: number): void {
    this.#base = at;
  }

  [kUnbind](): void {
    this.#base = UNBOUND;
  }

  #at(offset: number): number {
    const base = this.#base;
    if (base < 0) throw new TypeError('Cannot use the state of a session: the turn that it was for is over');
    return base + offset;
  }
}
