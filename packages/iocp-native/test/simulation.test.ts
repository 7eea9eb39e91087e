// The simulation against the contract, with a kind network and with one that does whatever the rules allow.

import { beforeEach, describe, onTestFinished } from 'vitest';
import { createSimulation, type Faults, type Simulation } from '../src/testing/index.js';
import { contract } from './contract.js';
import type { PeerNetwork } from './support/network.js';
import { drive, simulatedNetwork } from './support/simulated-network.js';

const notNative = 'a simulation has nothing that the system knows, or another thread';
const cannotWait = 'time is virtual, so dequeue() cannot wait';
const noSystem = 'a simulation runs in its own process, with descriptors that are its own';

const skips = {
  'dequeue with a timeout waits about that long': cannotWait,
  'a post of another thread wakes dequeue': cannotWait,
  'I/O wakes dequeue': cannotWait,
  'no wake-up is lost, however a wait and the posts of other threads meet': cannotWait,
  'worker.terminate() ends a thread that waits in dequeue()': cannotWait,
  'a wait ends for whatever the event loop has to do': cannotWait,
  'while packets come, the port tells when the event loop has something to do': cannotWait,
  'a port that hosts the loop sleeps as long as that may': cannotWait,
  'a port that is watched in a loop that another one hosts is served, and the loop still sleeps': cannotWait,
  'a port that has hosted the loop, and is watched then, is told whatever the loop has served meanwhile': cannotWait,
  'watch keeps the process alive, and nothing else of a port does': cannotWait,
  'closeHandle ends a connection that nobody adopted': notNative,
  'a connection with data in flight moves to a thread, whose port echoes': notNative,
  'listeners with reusePort share an address, and take every connection between them': notNative,
  'what a terminated thread had in flight is given back, and other ports go on': notNative,
  'what was posted to a thread that ended, and that it has not served, is left over': notNative,
  'a socket in the batch that a thread ends in is left over, unless it was adopted or closed': notNative,
  "a program's own thread that ends, whatever ends it, leaves no listener, connection or descriptor":
    'its network ends with its thread',
  'a thread that ends in order leaves memory only': notNative,
  'running out of descriptors fails accepts, not the listener': noSystem,
  'sockets have the options asked for, and accepted ones those of their listener': noSystem,
  'a link-local address has its zone': noSystem,
  'a link-local client of a listener on :: is accepted as any': noSystem,
  'a zone that this machine has not is refused': noSystem,
  'keep-alive probes are as asked for, at the start and later': noSystem,
  'buffers have the sizes asked for': noSystem,
  'packets have the type of service asked for, at the start and later': noSystem,
  'a port that is not native moves no connection: ENOTSUP': 'it does, to another port of the simulation',
  'a type of service is refused where packets cannot have it: ENOTSUP': 'it takes every option, and no notice of it',
  'an option that node:net lacks is refused: ENOTSUP': 'it takes every option, and no notice of it',
};

const streamsOnly = 'a simulation has connections between addresses only';
const without = { files: streamsOnly, datagrams: streamsOnly, datagramPeers: streamsOnly, local: streamsOnly };

// The watcher is called at once: a stream's data and its end leave in batches of their own, as one rule has it.
const large = { segment: 1 << 16, window: 1 << 18, wakeUp: 0 };
const networks: Record<string, Partial<Faults>> = {
  'a simulation': large,
  'a simulation whose kernel and network are slow': { ...large, latency: 20, completion: 5, submission: 5 },
};

describe.each(Object.entries(networks))('%s', (name, faults) => {
  let simulation: Simulation;
  beforeEach(() => {
    simulation = createSimulation({ seed: 1, faults });
    onTestFinished(drive(simulation));
  });
  const network: PeerNetwork = {
    connect: (to) => simulatedNetwork(simulation).connect(to),
    listen: (onConnection) => simulatedNetwork(simulation).listen(onConnection),
  };
  contract(name, (options) => simulation.openPort(options), skips, network, without);
});
