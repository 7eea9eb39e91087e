// What one seed of the swarm does: sizes, what goes wrong, and which operations it favours. Each seed draws its own, most of
// them extreme: a mix of everything in every run would never get far into anything.

import { type Faults, Random } from '@overlapped/iocp-native/testing';
import type { AcceptLimits } from '../../src/index.js';

/** What a run does from outside, between two moments of time. */
const operations = [
  'peer connects',
  'connector connects',
  'peer writes',
  'peer ends',
  'peer resets',
  'peer pauses',
  'peer resumes',
  'session acts',
  'broadcast',
  'timer',
  'post',
  'listener',
  'connector',
] as const;
export type OperationName = (typeof operations)[number];

/** What a session does, from outside or in its handlers. */
const actions = ['send', 'end', 'destroy', 'pause', 'resume', 'join', 'leave', 'broadcast', 'throw', 'reject'] as const;
export type ActionName = (typeof actions)[number];

export interface Plan {
  readonly faults: Faults;
  readonly maxSessions: number;
  readonly receiveBuffers: { readonly count: number; readonly size: number };
  readonly sendBuffers: { readonly count: number; readonly size: number };
  readonly highWatermark: number;
  readonly lowWatermark: number;
  /** The most bytes of a frame's payload. */
  readonly largest: number;
  readonly operations: readonly OperationName[];
  readonly actions: readonly ActionName[];
  /** How likely a handler does something. */
  readonly liveliness: number;
  /** Sessions send back what they get, as it came: borrowed. */
  readonly echo: boolean;
  /** Sessions are PacketSessions, which get whole frames. */
  readonly framed: boolean;
  /** What listeners accept is handed to a second core, as to a worker thread. */
  readonly handOff: boolean;
  /** What listeners let in. */
  readonly limits: Pick<AcceptLimits, 'maxSessions' | 'rate' | 'whenFull'>;
  /** The most milliseconds between two operations. */
  readonly pace: number;
  readonly steps: number;
  /** The core stops in the middle; else everything ends in order first. */
  readonly abrupt: boolean;
  /** Milliseconds that core.stop() gives. */
  readonly grace: number;
}

export function draw(seed: number): Plan {
  const random = new Random(seed ^ 0x5a5a5a5a);
  // Apart, so that the seeds that once found something keep the rest of their plans.
  const apart = new Random(seed ^ 0x3c3c3c3c);
  /** Mostly never, else up to `most`. */
  const rarely = (most: number) => (random.chance(0.7) ? 0 : random.next() * most);
  const latency = random.pick([0.1, 1, 20]);
  const largest = random.pick([10, 100, 1000, 4000]);
  const highWatermark = random.pick([0, 100, 2000, 20_000]);
  return {
    faults: {
      segment: Math.max(largest >> 3, random.pick([16, 100, 1460])),
      window: Math.max(largest >> 2, random.pick([256, 1024, 16_384])),
      latency,
      completion: random.pick([0, 0.1, 5]),
      submission: random.pick([0, 0, 0.1, 5]),
      wakeUp: random.pick([0, 0.01, 2]),
      reset: rarely(0.02),
      refuse: rarely(0.3),
      accept: rarely(0.3),
      exhaustion: rarely(0.05),
      lateCancel: random.pick([0, 0.5, 1]),
      latePacket: rarely(1),
      overflow: rarely(0.5),
      spuriousWakeUp: rarely(0.5),
    },
    maxSessions: random.pick([2, 8, 32]),
    receiveBuffers: { count: random.pick([2, 4, 16]), size: random.pick([64, 256, 1024]) },
    sendBuffers: { count: random.pick([2, 4, 16]), size: random.pick([64, 256, 1024]) },
    highWatermark,
    lowWatermark: random.chance(0.5) ? highWatermark >> 2 : random.pick([0, highWatermark]),
    largest,
    operations: mix(random, operations, [
      'peer connects',
      'peer writes',
      'peer writes',
      'session acts',
      'session acts',
    ]),
    actions: mix(random, actions, ['send', 'send']),
    liveliness: random.pick([0.02, 0.2, 0.5]),
    echo: random.chance(0.5),
    handOff: apart.chance(0.4),
    limits: apart.chance(0.7) ? {} : drawLimits(apart),
    framed: apart.chance(0.5),
    pace: latency * random.pick([0.2, 1, 5]),
    steps: random.between(5, 100),
    abrupt: random.chance(0.4),
    grace: random.pick([1, 20, 500]),
  };
}

function drawLimits(random: Random): Plan['limits'] {
  return {
    maxSessions: random.pick([1, 3, 10]),
    whenFull: random.pick(['refuse', 'wait']),
    ...(random.chance(0.5) && { rate: { perSecond: random.pick([20, 200]), burst: random.pick([1, 5]) } }),
  };
}

/** Each at its own weight, and about half of them not at all; but without some nothing comes of the others. */
function mix<T>(random: Random, all: readonly T[], needed: readonly T[]): T[] {
  const weighted = all.flatMap((one) => Array<T>(random.pick([0, 0, 1, 2, 6])).fill(one));
  return [...weighted, ...needed];
}
