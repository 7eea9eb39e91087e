// The type of a command, and the errors that several of them give. Errors are in Redis's own words.

import type { Client } from '../client.js';

export interface Command {
  /** In lower case. */
  readonly name: string;
  /** Arguments with the name; negative: at least so many. */
  readonly arity: number;
  readonly group: 'string' | 'generic' | 'connection' | 'server';
  readonly summary: string;
  readonly flags: readonly string[];
  /** Which arguments are keys: the first, the last (-1: the last argument), and the step from one to the next. */
  readonly keys: readonly [first: number, last: number, step: number];
  /** Serves the client's request. */
  readonly run: (client: Client) => void;
}

export const NO_KEYS = [0, 0, 0] as const;
export const ONE_KEY = [1, 1, 1] as const;
export const ALL_KEYS = [1, -1, 1] as const;

/** The version of Redis whose replies these are. Clients that ask for the server's version get it. */
export const REDIS_VERSION = '7.0.15';

export const SYNTAX = 'ERR syntax error';
export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';

export function wrongArity(name: string): string {
  return `ERR wrong number of arguments for '${name}' command`;
}

export function unknownSubcommand(given: string, command: string): string {
  return `ERR unknown subcommand '${given.slice(0, 128)}'. Try ${command} HELP.`;
}

export function invalidExpireTime(name: string): string {
  return `ERR invalid expire time in '${name}' command`;
}

/** Whether a time in milliseconds from now is one that Redis could store. */
export function isStorable(milliseconds: number): boolean {
  return milliseconds + Date.now() < 2 ** 63 && milliseconds >= -(2 ** 63);
}
