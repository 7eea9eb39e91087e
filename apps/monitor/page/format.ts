// How figures are written: short, and with three digits that matter at most.

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const time = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hourCycle: 'h23' });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** 950, 12.3K, 4.56M */
export function short(value: number): string {
  return compact.format(value);
}

/** 12,345 */
export function full(value: number): string {
  return whole.format(value);
}

/** 950 B, 12.3 kB, 4.56 MB, in powers of 1000. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${short(value / 1000 ** power)} ${units[power]}`;
}

/** 14:05:30, here. */
export function timeOfDay(seconds: number): string {
  return time.format(seconds * 1000);
}
