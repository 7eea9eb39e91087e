// A network of its own (unshare(1) -n): one with few ports, and one that loses and delays.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { backends, onLinux, whyNot } from './support.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const FEW_PORTS = 'ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range="40000 40009"';
const LOSSY = 'ip link set lo up && tc qdisc add dev lo root netem loss 1% delay 5ms 3ms';

/** Runs a program in a network that `setUp` has made. */
function inNetwork(setUp: string, ...program: string[]): string {
  const line = ['-n', 'sh', '-c', `${setUp} && exec "$@"`, 'sh', process.execPath, ...program];
  return execFileSync('unshare', line, { encoding: 'utf8', timeout: 60_000 });
}

const titled = (title: string, whyNotHere: string | undefined) =>
  whyNotHere === undefined ? title : `${title}, skipped for a reason: ${whyNotHere}`;

onLinux('in a network of its own', () => {
  const noPorts = whyNot('unshare', '-n', 'sh', '-c', FEW_PORTS);
  const reason = whyNot('unshare', '-n', 'sh', '-c', LOSSY);

  test.skipIf(noPorts).each(backends)(titled('%s: out of ports', noPorts), (backend) => {
    const told = JSON.parse(inNetwork(FEW_PORTS, at('fixtures/out-of-ports.mjs'), backend));
    // The listener has one of the ten.
    expect(told).toEqual({ connected: 9, codes: ['EADDRNOTAVAIL'], again: true });
  });

  test.skipIf(reason).each(backends)(titled('%s: loss and delay', reason), (backend) => {
    const told = inNetwork(LOSSY, at('../dist/cli.js'), '--minutes', '0.15', '--seed', '7', '--backend', backend);
    expect(told).toContain('seed 7');
  });
});
