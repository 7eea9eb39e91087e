// A link-local address of this machine, with its zone: that of the first interface which has one.

import { networkInterfaces } from 'node:os';

const own = Object.entries(networkInterfaces()).flatMap(([name, list = []]) =>
  list.flatMap((at) => (at.family === 'IPv6' && at.scopeid > 0 ? [{ name, ...at }] : [])),
)[0];

/** Undefined where there is none. */
export const linkLocal = own && {
  /** As a system tells it: Windows numbers its zones. */
  address: `${own.address}%${process.platform === 'win32' ? own.scopeid : own.name}`,
  /** The same, by its number. */
  numbered: `${own.address}%${own.scopeid}`,
};
