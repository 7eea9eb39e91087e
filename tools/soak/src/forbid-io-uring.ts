// Loaded before a server: has the kernel refuse io_uring_setup() to this process with EPERM, as containers do. By a seccomp
// filter, see seccomp(2).

import assert from 'node:assert';
import koffi from 'koffi';

const PR_SET_SECCOMP = 22;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2;
/** The same number on every architecture. */
const IO_URING_SETUP = 425;
const EPERM = 1;

/** struct sock_filter: code (16 bits), jumps when true and when false (8 bits each), k (32 bits). */
const filter = [
  [0x20, 0, 0, 0], // A = the number of the call
  [0x15, 0, 1, IO_URING_SETUP], // if it is another one, skip the next
  [0x06, 0, 0, 0x00050000 | EPERM], // SECCOMP_RET_ERRNO
  [0x06, 0, 0, 0x7fff0000], // SECCOMP_RET_ALLOW
] as const;

const code = Buffer.alloc(8 * filter.length);
for (const [i, [operation, whenTrue, whenFalse, k]] of filter.entries()) {
  code.writeUInt16LE(operation, 8 * i);
  code[8 * i + 2] = whenTrue;
  code[8 * i + 3] = whenFalse;
  code.writeUInt32LE(k, 8 * i + 4);
}
// struct sock_fprog: the length, and where the filter lies.
const program = Buffer.alloc(16);
program.writeUInt16LE(filter.length, 0);
program.writeBigUInt64LE(koffi.address(code), 8);

const prctl = koffi
  .load('libc.so.6')
  .func('int prctl(int option, unsigned long a, void *b, unsigned long c, unsigned long d)');
assert.equal(prctl(PR_SET_NO_NEW_PRIVS, 1, null, 0, 0), 0, 'prctl(PR_SET_NO_NEW_PRIVS)');
assert.equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0), 0, 'prctl(PR_SET_SECCOMP)');
