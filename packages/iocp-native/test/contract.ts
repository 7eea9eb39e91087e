// The conformance suite: every rule of src/contract/port.ts, against any backend, with peers on the loopback interface (or in a
// simulation). A backend's own test file calls it with how to open a port and with what it skips and why.

import { describe } from 'vitest';
import { accepting } from './contract/accepting.js';
import { addresses } from './contract/addresses.js';
import { closing } from './contract/closing.js';
import { connecting } from './contract/connecting.js';
import { datagramPeers } from './contract/datagram-peers.js';
import { datagrams } from './contract/datagrams.js';
import { destroying } from './contract/destroying.js';
import { files } from './contract/files.js';
import { guarding } from './contract/guarding.js';
import { hosting } from './contract/hosting.js';
import { local } from './contract/local.js';
import { memory } from './contract/memory.js';
import { moving } from './contract/moving.js';
import { posting } from './contract/posting.js';
import { reaping } from './contract/reaping.js';
import { receiving } from './contract/receiving.js';
import { sending } from './contract/sending.js';
import { starting } from './contract/starting.js';
import { volume } from './contract/volume.js';
import { waiting } from './contract/waiting.js';
import { loopback } from './support/network.js';
import { type Open, Suite } from './support/suite.js';

const themes = {
  starting,
  guarding,
  posting,
  accepting,
  connecting,
  receiving,
  sending,
  files,
  closing,
  memory,
  moving,
  addresses,
  datagrams,
  datagramPeers,
  local,
  waiting,
  hosting,
  destroying,
  reaping,
  volume,
};

/**
 * @param skips the reason for each rule, by its name, that the backend does not follow
 * @param without the reason for each theme that it lacks altogether
 */
export function contract(
  name: string,
  open: Open,
  skips: Readonly<Record<string, string>>,
  network = loopback,
  without: Partial<Record<keyof typeof themes, string>> = {},
): void {
  describe(`the contract, by ${name}`, () => {
    const suite = new Suite(open, skips, network);
    for (const [theme, rules] of Object.entries(themes)) {
      const reason = without[theme as keyof typeof themes];
      if (reason === undefined) describe(theme, () => rules(suite));
      else describe.skip(`${theme} (${reason})`, () => {});
    }
    suite.checkSkips();
  });
}
