// An array in a shared session's state. It is made once for each view of a state, so that no access allocates.

/** An array of a fixed number of elements in a shared session's state. It is valid as long as the state that it was read from. */
export class StateArray<Value> {
  /** How many elements it has. */
  readonly length: number;
  readonly #read: (index: number) => Value;
  readonly #write: (index: number, value: Value) => void;

  /** @internal */
  constructor(length: number, read: (index: number) => Value, write: (index: number, value: Value) => void) {
    this.length = length;
    this.#read = read;
    this.#write = write;
  }

  /** The element at `index`, counted from 0. Throws a RangeError if there is none. */
  get(index: number): Value {
    this.#check(index);
    return this.#read(index);
  }

  /** Sets the element at `index`, counted from 0. Throws a RangeError if there is none, and errors as for a field of the type. */
  set(index: number, value: Value): void {
    this.#check(index);
    this.#write(index, value);
  }

  /** The elements in their order. */
  *[Symbol.iterator](): IterableIterator<Value> {
    for (let index = 0; index < this.length; index++) yield this.#read(index);
  }

  #check(index: number): void {
    if (Number.isInteger(index) && index >= 0 && index < this.length) return;
    throw new RangeError(`Cannot use element ${index}: the array has ${this.length} elements`);
  }
}
