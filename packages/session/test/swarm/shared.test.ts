// The swarm of shared sessions: the threads of a shared port as actors of one process, on the simulation.

import { sharedPlants } from './shared/plants.js';
import { playShared } from './shared/play.js';
import { describeSwarm } from './suite.js';

const options = { play: playShared, plants: sharedPlants, seeds: [3000, 300], most: 300 } as const;
describeSwarm('the swarm of shared sessions', options);
