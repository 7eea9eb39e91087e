// Planted bugs: what the engine of shared sessions could get wrong. Each is put into a run from outside, and the swarm must find it.

import { PortState } from '@overlapped/iocp-native/internal';
import { Field } from '../../../src/shared/table.js';
import { replace } from '../tamper.js';
import { store } from './points.js';
import type { SharedRun } from './run.js';

const SLOT_RANGE = 2 ** 20;
const PORT_RECORDS = 16;
/** A thread that no run has. */
const GHOST = 100_000;

export type SharedPlant = (run: SharedRun) => void;

export const sharedPlants: Readonly<Record<string, SharedPlant>> = {
  'two turns of a session at once'(run) {
    const { words } = run.table;
    const turns = new Set(Array.from({ length: run.plan.maxSessions }, (_, slot) => run.table.at(slot) + Field.Turn));
    run.swap = (array, at, expected, value) => {
      if (array.buffer !== words.buffer || expected !== 0 || !turns.has(at)) return undefined;
      if (words[at] === 0 || !run.random.chance(0.5)) return undefined;
      store(words, at, value);
      return 0;
    };
  },

  'a socket that is not armed again'(run) {
    run.onActor = ({ port }) => {
      replace(
        port,
        'arm',
        (arm) =>
          (...args) =>
            run.random.chance(0.05) ? 0 : arm(...args),
      );
    };
  },

  'a send that overtakes the bytes that wait'(run) {
    let sends = false;
    run.onTable = ({ queues }) => {
      replace(queues, 'lengthOf', (lengthOf) => (queue) => (sends && run.random.chance(0.5) ? 0 : lengthOf(queue)));
    };
    const watch = (host: SharedRun['main']) =>
      replace(host, 'sendTo', (sendTo) => (...args) => {
        sends = true;
        try {
          return sendTo(...args);
        } finally {
          sends = false;
        }
      });
    watch(run.main);
    run.onActor = ({ thread }) => watch(thread);
  },

  'a slot of a thread that has ended, and that nobody gets'(run) {
    replace(run.main.port, 'recover', (recover) => (threadId, accepted) => {
      const { words } = (run.main.port as unknown as { memory: { words: Int32Array } }).memory;
      for (let record = PORT_RECORDS; record < words.length && words[record] !== 0; record += 16) {
        const state = words[record + 1];
        const holds = state === PortState.Running || state === PortState.Coming;
        if (words[record] === threadId + 1 && holds) store(words, record, GHOST);
      }
      recover(threadId, accepted);
    });
  },

  'a half frame that is lost between two threads'(run) {
    run.onTable = ({ frames }) => {
      replace(
        frames,
        'append',
        (append) =>
          (...args) =>
            run.random.chance(0.05) ? true : append(...args),
      );
    };
  },

  'a broadcast that misses a member that joined before'(run) {
    run.onTable = ({ groups }) => {
      replace(groups, 'nextMember', (nextMember) => (from) => {
        const member = nextMember(from);
        return member >= 0 && run.random.chance(0.2) ? nextMember(member + 1) : member;
      });
    };
  },

  'a timeout that comes too early'(run) {
    run.sweepNow = () => run.clock.now() * 1.8;
  },

  'a message for a session that is over'(run) {
    const reach = (host: SharedRun['main']) =>
      replace(host, 'tell', (tell) => (id, message) => tell(run.table.idOf(id % SLOT_RANGE), message));
    reach(run.main);
    run.onActor = ({ thread }) => reach(thread);
  },
};
