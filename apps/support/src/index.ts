// Shared by the commands of the apps: options, errors and signals. Each app bundles the parts that it uses.

import { readFileSync } from 'node:fs';
import { candidates, type Endpoint } from '@overlapped/iocp-native';
import { Command, InvalidArgumentError, Option } from 'commander';

/** The grace of core.stop(), in milliseconds, for peers that do not read. */
export const GRACE = 3000;

/** A command with its package's version, whose errors are one line each. */
export function command(name: string, description: string, manifest: URL): Command {
  return new Command(name)
    .description(description)
    .version(JSON.parse(readFileSync(manifest, 'utf8')).version)
    .configureOutput({ outputError: (text, write) => write(`${text.trimEnd().replaceAll('\n', ' ')}\n`) });
}

/** Parses an option that is a whole number. */
export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

/** `--backend`, one of those that the library has. */
export function backendOption(): Option {
  const names = candidates().map(({ name }) => name);
  return new Option('--backend <name>', 'what serves the completion port (default: the best there is)').choices(names);
}

/** An endpoint as people write it: 127.0.0.1:80, [::1]:80. */
export function hostAndPort({ address, family, port }: Endpoint): string {
  return `${family === 6 ? `[${address}]` : address}:${port}`;
}

/** Calls `stop` at the first SIGINT or SIGTERM; the second ends the process at once. */
export function onSignal(stop: () => void): void {
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      stop();
    });
  }
}

/**
 * Ends a command with code 1. An error of the system, or another that is `expected` in use, is told in one line; anything else is a bug
 * and is told with its stack.
 */
export function fail(error: unknown, expected = error instanceof Error && 'syscall' in error): void {
  console.error(expected ? `error: ${(error as Error).message}` : error);
  process.exitCode = 1;
}
