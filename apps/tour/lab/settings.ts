// The settings of the lab, each with a slider.

export interface Settings {
  /** How many threads run at a time. There are twice as many. */
  readonly concurrency: number;
  /** Packets a second. */
  readonly load: number;
  /** Milliseconds that a handler takes, alone on a core. */
  readonly work: number;
  /** Percent of the handlers that block. The others compute. */
  readonly blocking: number;
}

/** The least and the largest value of each. The page has the same. */
const RANGES: Readonly<Record<keyof Settings, readonly [least: number, most: number]>> = {
  concurrency: [1, 8],
  load: [0, 40],
  work: [10, 1000],
  blocking: [0, 100],
};

/** Throws a RangeError that names the wrong value, or a SyntaxError. */
export function parseSettings(text: string): Settings {
  const given = JSON.parse(text) as Record<string, unknown>;
  const setting = (name: keyof Settings) => {
    const [least, most] = RANGES[name];
    const value = given?.[name];
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    throw new RangeError(`${name} must be a whole number from ${least} to ${most}`);
  };
  return {
    concurrency: setting('concurrency'),
    load: setting('load'),
    work: setting('work'),
    blocking: setting('blocking'),
  };
}
