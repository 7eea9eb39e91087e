// The portable backend against the contract.

import { expect, it } from 'vitest';
import { openPort } from '../src/backend.js';
import { createBatch } from '../src/contract/port.js';
import { contract } from './contract.js';

const notNative = 'node:net has no handles to move or share';
const notDirect = 'node:net reads the memory later';
const cannotWait = 'node:net needs the event loop, so dequeue() cannot wait';

contract('portable', (options) => openPort({ ...options, backend: 'portable' }), {
  'a direct send takes bytes at once: they may change or go when it has returned': notDirect,
  'a direct send to a peer that does not read takes what there is room for, and completes when there is more':
    notDirect,
  'a direct send takes several arrays behind its pieces, in order': notDirect,
  'a direct send of several arrays to a peer that does not read stops in the middle of them': notDirect,
  'a direct send refuses more than 16 pieces and arrays': notDirect,
  'a direct send whose pieces have to wait takes nothing else': notDirect,
  'a direct send that waits ends with its socket, and with a reset': notDirect,
  'a direct send to a peer that has reset the connection fails': notDirect,
  'a direct send without a packet takes what there is room for, and other sends go on behind it': notDirect,
  'a direct send without a packet throws when the peer has reset the connection': notDirect,
  'a direct send reads no memory but that of its array': notDirect,
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
  'what a close has cut short ends by ECONNRESET at a port that reads it later':
    'behind data that waits, libuv reports a reset as an end',
  'a detached accept brings a handle, which the port of another owner adopts': notNative,
  'a port adopts what it accepted detached itself': notNative,
  'a detached connection that no accept waits for when the listener closes comes out as a handle': notNative,
  'closeHandle ends a connection that nobody adopted': notNative,
  'what a port that is closed is to adopt is closed': notNative,
  'destroy closes detached connections that nobody dequeued': notNative,
  'a connection with data in flight moves to a thread, whose port echoes': notNative,
  'listeners with reusePort share an address, and take every connection between them': notNative,
  'what a terminated thread had in flight is given back, and other ports go on': notNative,
  'what was posted to a thread that ended, and that it has not served, is left over': notNative,
  'a socket in the batch that a thread ends in is left over, unless it was adopted or closed': notNative,
  'a thread that ends in order leaves memory only': notNative,
  'a terminated thread that listened on a path leaves nobody there, and nothing open': notNative,
  'a detached accept on a path brings a handle, which a port adopts': notNative,
  'a connect to a path whose listener takes nobody can be canceled and closed': 'node:net gives EAGAIN at once',
  'keep-alive probes are as asked for, at the start and later': 'node:net has the idle time only',
  'packets have the type of service asked for, at the start and later': 'node:net has no such options',
  'datagrams have the type of service asked for, at the start and later': 'node:net has no such options',
  'buffers have the sizes asked for': 'node:net has no such options',
  'sockets have the options asked for, and accepted ones those of their listener': 'node:net shows no socket number',
});

it('refuses to wait', () => {
  const port = openPort({ backend: 'portable' });
  for (const timeout of [-1, 1]) {
    expect(() => port.dequeue(createBatch(1), timeout)).toThrow(/^Cannot wait for packets: .+ENOTSUP/);
  }
  port.destroy();
});
