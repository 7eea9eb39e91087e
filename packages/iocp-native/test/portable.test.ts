// The portable backend against the contract.

import { expect, it } from 'vitest';
import { openPort } from '../src/backend.js';
import { createBatch } from '../src/contract.js';
import { contract } from './contract.js';

const cannotWait = 'node:net needs the event loop, so dequeue() cannot wait';

contract('portable', (options) => openPort({ ...options, backend: 'portable' }), {
  'dequeue with a timeout waits about that long': cannotWait,
  'a post of another thread wakes dequeue': cannotWait,
  'I/O wakes dequeue': cannotWait,
  'sockets have the options asked for, and accepted ones those of their listener': 'node:net shows no socket number',
});

it('refuses to wait', () => {
  const port = openPort({ backend: 'portable' });
  for (const timeout of [-1, 1]) {
    expect(() => port.dequeue(createBatch(1), timeout)).toThrow(/^Cannot wait for packets: .+ENOTSUP/);
  }
  port.destroy();
});
