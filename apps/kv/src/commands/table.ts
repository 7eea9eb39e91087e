// Which command a request names.

import type { Request } from '../resp/request.js';
import type { Command } from './command.js';
import { commands } from './server.js';

export { wrongArity } from './command.js';

// Clients mostly write a name all in capitals, or all in small letters: those are found as they are.
const byName = new Map(
  commands.flatMap((command) => [command.name, command.name.toUpperCase()].map((name) => [name, command])),
);

/** The command that a request names, in whatever case. */
export function find(request: Request): Command | undefined {
  const name = request.text(0);
  return byName.get(name) ?? byName.get(name.toLowerCase());
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
