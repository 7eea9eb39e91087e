// A network of its own (unshare(1) -n): one with few ports, and one that loses and delays.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { backends, onLinux, testUnless, whyNot } from './support.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const FEW_PORTS = 'ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range="40000 40009"';
const LOSSY = 'ip link set lo up && tc qdisc add dev lo root netem loss 1% delay 5ms 3ms';

/** Runs a program in a network that `setUp` has made. */
function inNetwork(setUp: string, ...program: string[]): string {
  const line = ['-n', 'sh', '-c', `${setUp} && exec "$@"`, 'sh', process.execPath, ...program];
  return execFileSync('unshare', line, { encoding: 'utf8', timeout: 60_000 });
}

onLinux('in a network of its own', () => {
  const noFewPorts = whyNot('unshare', '-n', 'sh', '-c', FEW_PORTS);
  const noLosses = whyNot('unshare', '-n', 'sh', '-c', LOSSY);

  for (const backend of backends) {
    testUnless(noFewPorts, `${backend}: out of ports`, () => {
      const told = JSON.parse(inNetwork(FEW_PORTS, at('fixtures/out-of-ports.mjs'), backend));
      // The listener has one of the ten.
      expect(told).toEqual({ connected: 9, codes: ['EADDRNOTAVAIL'], again: true });
    });

    testUnless(noLosses, `${backend}: loss and delay`, () => {
      const told = inNetwork(LOSSY, at('../dist/cli.js'), '--minutes', '0.05', '--seed', '7', '--backend', backend);
      expect(told).toContain('seed 7');
    });
  }
});
