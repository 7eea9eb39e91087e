// docs/SAFETY.md names every file that hands an address or a length to the kernel, and no file that is gone.

import { expect, test } from 'vitest';
import { textFiles } from '../src/repository.js';

const NATIVE = 'packages/iocp-native/src/';
/** A call by which memory, or how much of it, becomes the kernel's business. */
const LINUX =
  /\b(prep\w+|read|write|io_uring_\w+|m(un)?map|madvise|[sg]etsockopt|\w+Socket|get(sock|peer)name|pipe2)\(|#calls\.\w+\(|#recv\(|epoll_\w+\(/;
const WIN32 =
  /\b(Virtual\w+|\w+Ex|\w+File|\w+FileW|CreateNamedPipeW|\w*[sg]etsockopt|WSAIoctl|bindTo|connect|ask)\(|\.bound\(/;
const VIEW = /(?<!function )viewOf\(|: viewOf\b/;

const files = textFiles();
const page = files.find(({ path }) => path === 'docs/SAFETY.md')!.text;

function isKernelFile(path: string, text: string): boolean {
  const code = text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, '');
  if (path.startsWith('linux/')) return LINUX.test(code) || VIEW.test(code);
  return path.startsWith('win32/') ? WIN32.test(code) || VIEW.test(code) : VIEW.test(code);
}

test('each file that hands memory to the kernel is in the tables', () => {
  const native = files.filter(({ path }) => path.startsWith(NATIVE));
  const found = native.map(({ path, text }) => ({ path: path.slice(NATIVE.length), text }));
  const kernel = found.filter(({ path, text }) => isKernelFile(path, text)).map(({ path }) => path);
  // Else the patterns above have lost their objects.
  expect(kernel).toEqual(expect.arrayContaining(['linux/io-uring/sender.ts', 'win32/receiver.ts', 'native/memory.ts']));
  expect(kernel.filter((path) => !page.includes(`\`${path}\``))).toEqual([]);
});

test('each file that the tables name is there', () => {
  const named = [...page.matchAll(/`((?:[\w-]+\/)*[\w-]+\.ts)`/g)].map(([, path]) => path!);
  const paths = files.map(({ path }) => path);
  expect(named.filter((path) => !paths.some((known) => known.endsWith(`/src/${path}`)))).toEqual([]);
});
