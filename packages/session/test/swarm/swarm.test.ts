// The swarm of pinned sessions, listeners, connectors and datagram sessions on the simulation.

import { plants } from './plants.js';
import { play } from './play.js';
import { regressions } from './regressions.js';
import { describeSwarm } from './suite.js';

describeSwarm('the swarm', { play, plants, seeds: [10_000, 500], most: 500, regressions });
