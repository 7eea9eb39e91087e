// Makes a seccomp profile that allows io_uring, out of the profile that a container engine has by default:
//
//   node deploy/allow-io-uring.mjs < default.json > io-uring.json
//
// The profile is the engine's, with one more rule; so what else it forbids stays forbidden. Ends with 1 when the input is no
// profile, or one that allows by default and therefore needs no rule.

import { readFileSync } from 'node:fs';

const RULE = { names: ['io_uring_setup', 'io_uring_enter', 'io_uring_register'], action: 'SCMP_ACT_ALLOW' };

const profile = read();
if (!Array.isArray(profile?.syscalls)) fail('this is no seccomp profile: it has no list "syscalls"');
if (profile.defaultAction !== 'SCMP_ACT_ERRNO')
  fail(`the default action is ${profile.defaultAction}, not SCMP_ACT_ERRNO`);
process.stdout.write(`${JSON.stringify({ ...profile, syscalls: [...profile.syscalls, RULE] }, null, 2)}\n`);

function read() {
  try {
    return JSON.parse(readFileSync(0, 'utf8'));
  } catch (error) {
    fail(`the input is no JSON: ${error.message}`);
  }
}

function fail(reason) {
  console.error(`Cannot allow io_uring: ${reason}`);
  process.exit(1);
}
