// The checks of options: what they take, and how they tell of what they do not.

import { describe, expect, it } from 'vitest';
import {
  above,
  atLeast,
  bool,
  type Checks,
  callback,
  checkGiven,
  checkHandlers,
  checkOptions,
  group,
  object,
  oneOf,
  text,
  whole,
} from '../src/options.js';

interface Sample {
  port?: number;
  delay?: number;
  ratio?: number;
  noDelay?: boolean;
  host?: string;
  onLost?: () => void;
  whenFull?: 'refuse' | 'wait';
  limits?: object;
  rate?: { burst?: number };
}

const checks: Checks<Sample> = {
  port: whole(0, 65535),
  delay: above(0),
  ratio: atLeast(1),
  noDelay: bool,
  host: text,
  onLost: callback,
  whenFull: oneOf('refuse', 'wait'),
  limits: object,
  rate: group<NonNullable<Sample['rate']>>({ burst: atLeast(1) }),
};

const told = (options: unknown) => {
  try {
    checkOptions(options, checks);
  } catch (error) {
    const { name, message, code } = error as Error & { code: string };
    return `${name} ${code}: ${message}`;
  }
  return 'fine';
};

describe('checkOptions', () => {
  it.each([
    {},
    { port: 0, delay: Number.POSITIVE_INFINITY, ratio: 1, noDelay: false, host: 'a', onLost() {}, whenFull: 'wait' },
    { port: undefined, anything: undefined },
    { limits: {}, rate: { burst: 2 } },
    Object.create({ port: 5 }),
  ])('takes %j', (options) => {
    expect(told(options)).toBe('fine');
  });

  const TYPE = 'TypeError ERR_INVALID_ARG_TYPE: ';
  const RANGE = 'RangeError ERR_OUT_OF_RANGE: ';
  const VALUE = 'TypeError ERR_INVALID_ARG_VALUE: ';
  it.each<[unknown, string]>([
    [undefined, `${TYPE}the options must be an object, not undefined`],
    [null, `${TYPE}the options must be an object, not null`],
    [[], `${TYPE}the options must be an object, not an array`],
    [5, `${TYPE}the options must be an object, not 5`],
    [{ port: '80' }, `${TYPE}port must be a whole number from 0 to 65535, not "80"`],
    [{ port: 10n }, `${TYPE}port must be a whole number from 0 to 65535, not 10n`],
    [{ port: Number.NaN }, `${RANGE}port must be a whole number from 0 to 65535, not NaN`],
    [{ port: 0.5 }, `${RANGE}port must be a whole number from 0 to 65535, not 0.5`],
    [{ port: 65536 }, `${RANGE}port must be a whole number from 0 to 65535, not 65536`],
    [Object.create({ port: -1 }), `${RANGE}port must be a whole number from 0 to 65535, not -1`],
    [{ delay: 0 }, `${RANGE}delay must be a number above 0, not 0`],
    [{ delay: Number.NaN }, `${RANGE}delay must be a number above 0, not NaN`],
    [{ ratio: {} }, `${TYPE}ratio must be a number from 1, not an object`],
    [{ noDelay: 1 }, `${TYPE}noDelay must be true or false, not 1`],
    [{ host: '' }, `${RANGE}host must be a string that is not empty, not ""`],
    [{ host: Symbol('x') }, `${TYPE}host must be a string, not a symbol`],
    [{ onLost: 'x' }, `${TYPE}onLost must be a function, not "x"`],
    [{ whenFull: 'queue' }, `${RANGE}whenFull must be "refuse" or "wait", not "queue"`],
    [{ limits: () => {} }, `${TYPE}limits must be an object, not a function`],
    [{ rate: 5 }, `${TYPE}rate must be an object, not 5`],
    [{ rate: { burst: 0 } }, `${RANGE}rate.burst must be a number from 1, not 0`],
    [{ rate: { brust: 1 } }, `${VALUE}unknown option 'rate.brust'; did you mean 'rate.burst'?`],
    [{ nodelay: true }, `${VALUE}unknown option 'nodelay'; did you mean 'noDelay'?`],
    [{ prot: 1 }, `${VALUE}unknown option 'prot'; did you mean 'port'?`],
    [{ constructor: 1 }, `${VALUE}unknown option 'constructor'; there are ${Object.keys(checks).join(', ')}`],
    [JSON.parse('{"__proto__":1}'), `${VALUE}unknown option '__proto__'; there are ${Object.keys(checks).join(', ')}`],
  ])('%# refuses', (options, message) => {
    expect(told(options)).toBe(message);
  });
});

it('what must be given is missed', () => {
  expect(() => checkGiven({ a: 1, b: undefined }, 'a')).not.toThrow();
  expect(() => checkGiven({ a: 1, b: undefined }, 'a', 'b')).toThrow('b must be given, not undefined');
});

describe('checkHandlers', () => {
  const known = ['onReceive', 'onConnected'];

  it('leaves alone what is not like a handler', () => {
    checkHandlers({ onReceive() {}, count: 0, once: 1, helper() {} }, known, 'session');
  });

  it('tells of a handler that nothing calls, and of one that cannot be called', () => {
    expect(() => checkHandlers({ onRecieve() {} }, known, '')).toThrow(
      "unknown handler 'onRecieve'; did you mean 'onReceive'?",
    );
    expect(() => checkHandlers({ onFoo() {} }, known, 'session')).toThrow(
      "unknown handler 'session.onFoo'; there are onReceive, onConnected",
    );
    expect(() => checkHandlers({ onReceive: 'x' }, known, 'session')).toThrow(
      'session.onReceive must be a function, not "x"',
    );
  });
});
