// Addresses as node:net and node:dgram take them.

import { networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import { fits, isAbstract } from '../contract/endpoint.js';
import type { Endpoint, PipeEndpoint } from '../contract/port.js';
import { numberOf } from '../native/zones.js';

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

/** Whether this machine has the zone of an address, if it has one. */
export function hasZone({ address }: Endpoint): boolean {
  const [, zone] = address.split('%');
  if (zone === undefined) return true;
  const index = numberOf(zone);
  return Object.entries(networkInterfaces()).some(
    ([name, addresses]) =>
      name === zone || addresses?.some((own) => own.family === 'IPv6' && index >= 0 && own.scopeid === index),
  );
}

/** The path of a listener, which libuv removes by its name: one that is the same in every folder, if that is not too long. */
export function pathFor(at: PipeEndpoint): string {
  if (process.platform === 'win32' || isAbstract(at)) return at.path;
  const path = resolve(at.path);
  return fits({ path }) ? path : at.path;
}
