// The swarm by hand: `pnpm swarm --seeds 100000` plays so many seeds, `--first` says from which on; `pnpm swarm --seed 7` plays one
// again and tells each packet.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100000' },
    first: { type: 'string', default: '1' },
    seed: { type: 'string' },
  },
});
const { seeds, first, seed } = values;
const folder = fileURLToPath(new URL('../packages/session', import.meta.url));
const env = {
  ...process.env,
  OVERLAPPED_SWARM_SEEDS: seed === undefined ? seeds : '1',
  OVERLAPPED_SWARM_FIRST: seed ?? first,
  ...(seed !== undefined && { OVERLAPPED_SWARM_TRACE: '1' }),
};
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', '../../vitest.config.ts', 'test/swarm'];
spawn(process.execPath, vitest, { cwd: folder, env, stdio: 'inherit' }).on('exit', (code) => {
  process.exitCode = code ?? 1;
});
