// IocpError: a value that tells what could not be done, why, and survives a second copy of the package.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IocpError, isIocpError, packetError } from '../src/contract/errors.js';
import { fromNode } from '../src/portable/errors.js';

describe('IocpError', () => {
  it('says what, why, the code and the call', () => {
    const cause = new Error('below');
    const error = new IocpError('send', 'the connection was reset', 'ECONNRESET', 'WSASend', 10054, { cause });
    expect(error.message).toBe('Cannot send: the connection was reset (ECONNRESET, WSASend)');
    expect(error).toMatchObject({ name: 'IocpError', code: 'ECONNRESET', syscall: 'WSASend', errno: 10054, cause });
    expect(error).toBeInstanceOf(Error);
  });

  it('is known by its mark, not by its class', () => {
    const foreign = Object.assign(new Error('x'), { [Symbol.for('overlapped.IocpError')]: true });
    expect(isIocpError(new IocpError('a', 'b', 'c', 'd'))).toBe(true);
    expect(isIocpError(foreign)).toBe(true);
    expect(isIocpError(new Error('x'))).toBe(false);
  });

  it('takes no other value for an error', () => {
    fc.assert(fc.property(fc.anything(), (value) => !isIocpError(value)));
  });
});

describe('the error of a packet', () => {
  it('has no stack, and leaves those of other errors alone', () => {
    const { stackTraceLimit } = Error;
    const { stack } = packetError('receive', 'connection reset by peer', 'ECONNRESET', 'recv', 104);
    expect(stack).toMatch(/^\w*Error: Cannot receive: connection reset by peer \(ECONNRESET, recv\)$/);
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
    expect(new Error('x').stack).toContain('errors.test.ts');
  });

  it('is made also where the intrinsics are frozen', () => {
    const before = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')!;
    Object.defineProperty(Error, 'stackTraceLimit', { ...before, writable: false });
    try {
      expect(packetError('send', 'broken pipe', 'EPIPE', 'send').code).toBe('EPIPE');
    } finally {
      Object.defineProperty(Error, 'stackTraceLimit', before);
    }
  });
});

describe("Node's errors", () => {
  it('keep the code and the call', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), {
      code: 'ECONNREFUSED',
      syscall: 'connect',
      errno: -111,
    });
    const error = fromNode('connect', 'read', cause);
    expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', cause });
    expect(error.errno).toBe(process.platform === 'win32' ? 0 : 111);
  });

  it.each([
    ['ERR_STREAM_DESTROYED', 'ECONNABORTED'],
    ['ERR_SOCKET_CLOSED', 'ECONNABORTED'],
    ['ERR_STREAM_WRITE_AFTER_END', 'EPIPE'],
  ])('%s becomes %s', (code, portable) => {
    const error = fromNode('send', 'write', Object.assign(new Error('x'), { code }));
    expect(error).toMatchObject({ code: portable, syscall: 'write', errno: 0 });
  });

  it('without a code become EIO', () => {
    expect(fromNode('send', 'write', new Error('odd')).message).toBe('Cannot send: odd (EIO, write)');
  });
});
