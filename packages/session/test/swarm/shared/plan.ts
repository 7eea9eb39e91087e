// What one seed of the swarm of shared sessions does: sizes, what goes wrong, and what handlers do.

import { Random } from '@overlapped/iocp-native/testing';
import type { Timeouts } from '../../../src/session/timeout-rules.js';

const operations = [
  'connect',
  'write',
  'end',
  'reset',
  'pause',
  'resume',
  'core sends',
  'core tells',
  'a thread ends',
] as const;
export type OperationName = (typeof operations)[number];

const actions = [
  'send',
  'send to another',
  'tell',
  'join',
  'leave',
  'broadcast',
  'end',
  'destroy',
  'block',
  'wait',
  'throw',
  'a thread ends',
] as const;
export type ActionName = (typeof actions)[number];

export interface SharedPlan {
  readonly threads: number;
  readonly concurrency: number;
  readonly maxSessions: number;
  /** The blocks of all queues. */
  readonly blocks: number;
  /** Bytes that one receive takes at most. */
  readonly received: number;
  readonly window: number;
  readonly latency: number;
  readonly highWatermark: number;
  readonly queueLimit: number;
  /** The most bytes of a frame's payload, and of a peer's write. */
  readonly largest: number;
  /** How likely other threads run at a point. */
  readonly preemption: number;
  readonly operations: readonly OperationName[];
  readonly actions: readonly ActionName[];
  /** The bytes of each frame that a session receives; 0: it has no frames. */
  readonly framed: number;
  /** Each session joins the group when it opens. */
  readonly grouped: boolean;
  /** None in most runs. */
  readonly timeouts: Timeouts;
  readonly liveliness: number;
  readonly pace: number;
  readonly steps: number;
}

/** No session is too slow for a broadcast. */
export const NO_WATERMARK = 2 ** 30;

export function drawShared(seed: number): SharedPlan {
  const random = new Random(seed ^ 0x69696969);
  const concurrency = random.pick([1, 1, 2, 3]);
  const highWatermark = random.pick([0, 200, 4000, NO_WATERMARK, NO_WATERMARK]);
  const latency = random.pick([0.1, 1, 10]);
  return {
    concurrency,
    threads: concurrency + random.between(0, 3),
    maxSessions: random.pick([2, 4, 8]),
    blocks: random.pick([2, 8, 64]),
    received: random.pick([16, 64, 1024]),
    window: random.pick([64, 512, 8192]),
    latency,
    highWatermark,
    queueLimit: highWatermark === NO_WATERMARK ? 0 : random.pick([0, 0, highWatermark + 2000]),
    largest: random.pick([10, 100, 1000, 5000]),
    preemption: random.pick([0, 0.005, 0.03, 0.1]),
    operations: mix(random, operations, ['connect', 'write', 'write']),
    actions: mix(random, actions, ['send', 'send', 'send to another', 'tell']),
    liveliness: random.pick([0.1, 0.5, 0.9]),
    pace: latency * random.pick([0.2, 1, 5]),
    steps: random.between(5, 60),
    framed: random.pick([0, 7, 50]),
    grouped: random.chance(0.5),
    timeouts: random.chance(0.3) ? drawTimeouts(random, latency) : {},
  };
}

/** Short ones, which expire in some sessions. */
function drawTimeouts(random: Random, latency: number): Timeouts {
  const names = ['read', 'firstByte', 'frame', 'write'] as const;
  const drawn = names.filter((name) => name === 'read' || random.chance(0.5));
  return Object.fromEntries(drawn.map((name) => [name, latency * random.pick([3, 10, 50])]));
}

/** Each at its own weight, and about half of them not at all. */
function mix<T>(random: Random, all: readonly T[], needed: readonly T[]): T[] {
  const weighted = all.flatMap((one) => Array<T>(random.pick([0, 0, 1, 2])).fill(one));
  return [...weighted, ...needed];
}
