// What these tests share: the backends that there are here, and why they run on Linux only.

import { execFileSync } from 'node:child_process';
import { candidates } from '@overlapped/session';
import { describe, test } from 'vitest';
import { Peer } from '../src/peer.js';
import { Server, type ServerLaunch } from '../src/processes.js';
import { message } from '../src/random.js';

/** The long forms: `test:long`. */
export const LONG = process.env.OVERLAPPED_SOAK_LONG === '1';

/** A suite about signals, limits and figures that Linux has. @param timeout of each test, in milliseconds */
export function onLinux(name: string, suite: () => void, timeout = 120_000): void {
  const reason = 'only Linux has its signals, limits and figures';
  if (process.platform === 'linux') describe(name, { timeout }, suite);
  else test.skip(`${name}: ${reason}`, () => {});
}

/** A test that is skipped where there is a `reason` why it cannot run, which its name then gives. */
export function testUnless(reason: string | undefined, name: string, run: () => Promise<void> | void): void {
  if (reason === undefined) test(name, run);
  else test.skip(`${name}: ${reason}`, () => {});
}

/** The backends to run on. */
export const backends = candidates().flatMap(({ name, availability }) => (availability.available ? [name] : []));

/** Why a command does not work here, or undefined when it does. */
export function whyNot(...line: string[]): string | undefined {
  try {
    execFileSync(line[0]!, line.slice(1), { stdio: 'ignore' });
    return undefined;
  } catch {
    return `${line.join(' ')} does not work here`;
  }
}

/** Runs `use` with a server, which must end in order. */
export async function serving(launch: ServerLaunch, use: (server: Server) => Promise<void>): Promise<void> {
  const server = await Server.start(launch);
  try {
    await use(server);
    await server.stop();
  } finally {
    await server.kill();
  }
}

/** Sees that somebody is served, and by whom: every byte is compared. */
export async function seeServed({ ports }: Server, bytes = 100_000): Promise<void> {
  const peer = await Peer.connect(ports.echo);
  const data = message(1, bytes);
  peer.socket.write(data);
  await peer.expect(data);
  await peer.end();
}

/** Does something in so many runs, `atOnce` of them at a time. */
export async function inParallel(runs: number, atOnce: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < runs) await act(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}
