// A module that takes many turns of the event loop to load, and is done when a test says so. Its sessions send back what they receive.

import { setImmediate as turn } from 'node:timers/promises';
import Echo from './echo.js';
import { memory, note } from './notes.js';

const DONE = 2048 + 3;

note(3);
while (Atomics.load(memory(), DONE) === 0) await turn();
for (let i = 0; i < 100; i++) await turn();

export default Echo;
