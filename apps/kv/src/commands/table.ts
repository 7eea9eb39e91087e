// Which command a request names. It is found by the bytes of its name: making a string of them would cost as much as
// everything else about a small request.

import assert from 'node:assert';
import type { Request } from '../resp/request.js';
import type { Command } from './command.js';
import { commands } from './server.js';

/** A power of two, with which no two names hash to the same slot. */
const SLOTS = 1024;
/** Turns a capital letter into the small one. No other character becomes a letter. */
const SMALL = 0x20;

interface Entry {
  readonly command: Command;
  readonly name: Uint8Array;
}

const slots: (Entry | undefined)[] = new Array(SLOTS).fill(undefined);
for (const command of commands) {
  const name = Buffer.from(command.name);
  const slot = hash(name, 0, name.length);
  assert(slots[slot] === undefined, `${command.name} has the slot of ${slots[slot]?.command.name}`);
  slots[slot] = { command, name };
}

/** The command that a request names, in whatever case. */
export function find({ bytes, starts, ends }: Request): Command | undefined {
  const start = starts[0]!;
  const end = ends[0]!;
  const entry = slots[hash(bytes, start, end)];
  if (entry === undefined || entry.name.length !== end - start) return undefined;
  for (let i = 0; i < entry.name.length; i++) if ((bytes[start + i]! | SMALL) !== entry.name[i]) return undefined;
  return entry.command;
}

function hash(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  for (let at = start; at < end; at++) sum = (sum * 31 + (bytes[at]! | SMALL)) & (SLOTS - 1);
  return sum;
}

export function arityFits({ arity }: Command, count: number): boolean {
  return arity >= 0 ? count === arity : count >= -arity;
}

/** Bytes of the arguments that the error shows. */
const SHOWN = 128;

export function unknownCommand(request: Request): string {
  let shown = '';
  for (let i = 1; i < request.count && shown.length < SHOWN; i++) {
    shown += `'${cut(request.text(i), SHOWN - shown.length)}' `;
  }
  return `ERR unknown command '${cut(request.text(0), SHOWN)}', with args beginning with: ${shown}`;
}

/** As C prints a string: up to a zero. */
function cut(text: string, most: number): string {
  return text.split('\0', 1)[0]!.slice(0, most);
}
