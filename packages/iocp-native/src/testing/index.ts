/**
 * For tests: the contract in memory, on virtual time, from one seed. No socket, no waiting, and every run can be had again.
 *
 * @module @overlapped/iocp-native/testing
 */

export type { VirtualClock } from './clock.js';
export type { Faults } from './faults.js';
export type { PeerHandlers, SimulatedPeer, SimulatedServer } from './peer.js';
export { Random } from './random.js';
export { createSimulation, type Simulation, type SimulationOptions } from './simulation.js';
