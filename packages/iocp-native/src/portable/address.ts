// Addresses as node:net and node:dgram take them.

import { networkInterfaces } from 'node:os';
import type { Endpoint } from '../contract.js';
import { numberOf } from '../zones.js';

/** The host of an endpoint. libuv knows a zone by its name, but on Windows by its number. */
export function hostOf({ address }: Endpoint): string {
  const [host, zone] = address.split('%');
  if (zone === undefined || process.platform === 'win32') return address;
  const index = numberOf(zone);
  if (index < 0) return address;
  const found = Object.entries(networkInterfaces()).find(([, addresses]) =>
    addresses?.some((own) => own.family === 'IPv6' && own.scopeid === index),
  );
  return found ? `${host}%${found[0]}` : address;
}
