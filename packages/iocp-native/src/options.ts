// Checks of the names, types and ranges of options. A table has the rule of each option; the type of the table makes sure
// that it has every option.

/** Throws for a value that breaks an option's rule. `name` is the option's full name: `rate.burst`. */
export type Check = (value: unknown, name: string) => void;

/** A check for each option. */
export type Checks<Options> = { readonly [Name in keyof Required<Options>]: Check };

/**
 * Checks an object of options. One that is undefined is not given. Throws a TypeError (ERR_INVALID_ARG_TYPE,
 * ERR_INVALID_ARG_VALUE for a name that nothing has) or a RangeError (ERR_OUT_OF_RANGE).
 * @param name of the object, in messages; the options within it follow a point. Empty for the options themselves.
 */
export function checkOptions<Options>(options: unknown, checks: Checks<Options>, name = ''): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw wrongType(name === '' ? 'the options' : name, 'an object', options);
  }
  const given = options as Readonly<Record<string, unknown>>;
  const all = checks as Readonly<Record<string, Check>>;
  const known = Object.keys(all);
  for (const each of Object.keys(given)) {
    if (given[each] !== undefined && !known.includes(each)) throw unknown('option', name, each, known);
  }
  for (const each of known) {
    const value = given[each];
    if (value !== undefined) all[each]!(value, join(name, each));
  }
}

/** Throws a TypeError when an option that must be there is not. */
export function checkGiven<Options extends object>(options: Options, ...names: (keyof Options & string)[]): void {
  for (const name of names) if (options[name] === undefined) throw wrongType(name, 'given', undefined);
}

/** A whole number. */
export function whole(least: number, most: number): Check {
  return (value, name) => {
    if (typeof value !== 'number') throw wrongType(name, `a whole number from ${least} to ${most}`, value);
    if (Number.isInteger(value) && value >= least && value <= most) return;
    throw outOfRange(name, `a whole number from ${least} to ${most}`, value);
  };
}

/** A number, infinite ones too. */
export function atLeast(least: number): Check {
  return number((value) => value >= least, `a number from ${least}`);
}

/** A number, infinite ones too. */
export function above(least: number): Check {
  return number((value) => value > least, `a number above ${least}`);
}

function number(fits: (value: number) => boolean, what: string): Check {
  return (value, name) => {
    if (typeof value !== 'number') throw wrongType(name, what, value);
    if (!fits(value)) throw outOfRange(name, what, value);
  };
}

export const bool: Check = (value, name) => {
  if (typeof value !== 'boolean') throw wrongType(name, 'true or false', value);
};

export const callback: Check = (value, name) => {
  if (typeof value !== 'function') throw wrongType(name, 'a function', value);
};

/** A string with something in it. */
export const text: Check = (value, name) => {
  if (typeof value !== 'string') throw wrongType(name, 'a string', value);
  if (value === '') throw outOfRange(name, 'a string that is not empty', value);
};

/** An object whose inside is its taker's to check. */
export const object: Check = (value, name) => {
  if (typeof value !== 'object' || value === null) throw wrongType(name, 'an object', value);
};

export function oneOf(...values: readonly string[]): Check {
  return (value, name) => {
    if (values.includes(value as string)) return;
    throw outOfRange(name, values.map((each) => `"${each}"`).join(' or '), value);
  };
}

/** An object of options. */
export function group<Options>(checks: Checks<Options>): Check {
  return (value, name) => checkOptions(value, checks, name);
}

/** Throws for a handler that is no function, and for a name like a handler's that nothing calls. Other members are free. */
export function checkHandlers(handlers: object, known: readonly string[], name: string): void {
  for (const each of known) {
    const handler = (handlers as Readonly<Record<string, unknown>>)[each];
    if (handler !== undefined) callback(handler, join(name, each));
  }
  for (const each of Object.keys(handlers)) {
    if (/^on[A-Z]/.test(each) && !known.includes(each)) throw unknown('handler', name, each, known);
  }
}

/** For a value of another type than its own. */
export function wrongType(name: string, what: string, value: unknown): TypeError {
  const error = new TypeError(`${name} must be ${what}, not ${shown(value)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

/** For a value of the right type that is none of those that there may be. */
export function outOfRange(name: string, what: string, value: unknown): RangeError {
  const error = new RangeError(`${name} must be ${what}, not ${shown(value)}`);
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' });
}

function unknown(kind: string, owner: string, name: string, known: readonly string[]): TypeError {
  const near = nearest(name, known);
  const hint = near === undefined ? `there are ${known.join(', ')}` : `did you mean '${join(owner, near)}'?`;
  const error = new TypeError(`unknown ${kind} '${join(owner, name)}'; ${hint}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

function join(owner: string, name: string): string {
  return owner === '' ? name : `${owner}.${name}`;
}

/** The form of a value in a message. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value !== 'object' || value === null) return String(value);
  return Array.isArray(value) ? 'an array' : 'an object';
}

/** The most edits between a wrong name and the right one that a message suggests. */
const NEAR = 3;

/** The known name that is the fewest edits away, if that is not too many for names so long. */
function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(NEAR, Math.ceil(name.length / 3)) + 1;
  for (const each of known) {
    const edits = distance(name.toLowerCase(), each.toLowerCase());
    if (edits >= least) continue;
    least = edits;
    best = each;
  }
  return best;
}

/** Letters to be changed, added, removed or swapped with their neighbour to make `b` of `a`. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      row[j] = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + same);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
