// A network of its own (unshare(1) -n): one with few ports, and one that loses and delays.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { backends, onLinux, testUnless, whyNot } from './support.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const FEW_PORTS = 'ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range="40000 40009"';
/**
 * One packet of a hundred is lost, and what comes faster than the rate waits. No reset is lost: nobody sends it again, so the
 * other end would never hear that the connection is over, and the soak's server has no timeouts.
 */
const LOSSY = [
  'ip link set lo up',
  'nft add table inet t',
  'nft add chain inet t in "{ type filter hook input priority 0; }"',
  'nft add rule inet t in "tcp flags & rst == rst" accept',
  'nft add rule inet t in numgen random mod 100 "<" 1 drop',
  'tc qdisc add dev lo root tbf rate 400mbit burst 128kb limit 32mb',
].join(' && ');

/** Runs a program in a network that `setUp` has made. */
function inNetwork(setUp: string, ...program: string[]): string {
  const line = ['-n', 'sh', '-c', `${setUp} && exec "$@"`, 'sh', process.execPath, ...program];
  return execFileSync('unshare', line, { encoding: 'utf8', timeout: 60_000 });
}

onLinux('in a network of its own', () => {
  const required = process.env.OVERLAPPED_REQUIRE === 'all';
  const noFewPorts = whyNot('unshare', '-n', 'sh', '-c', FEW_PORTS);
  const noLosses = whyNot('unshare', '-n', 'sh', '-c', LOSSY);

  for (const backend of backends) {
    testUnless(noFewPorts, `${backend}: out of ports`, () => {
      const told = JSON.parse(inNetwork(FEW_PORTS, at('fixtures/out-of-ports.mjs'), backend));
      // The listener has one of the ten.
      expect(told).toEqual({ connected: 9, codes: ['EADDRNOTAVAIL'], again: true });
    });

    testUnless(required ? undefined : noLosses, `${backend}: loss and delay`, () => {
      const told = inNetwork(LOSSY, at('../dist/cli.js'), '--minutes', '0.025', '--seed', '7', '--backend', backend);
      expect(told).toContain('seed 7');
    });
  }
});
