// Where the code lies that a thread runs, and how it is started. Looked up when a thread is started, not on import: in a bundle there is no such
// file, and a program without threads must run there.

import { pathToFileURL } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { IocpError } from '../contract/errors.js';

/**
 * The URL of a file of a package, by its name in the `imports` of that package's package.json. `from` is the `import.meta.url`
 * of the module that asks. Throws an IocpError (ENOTSUP) when that module has become part of a bundle.
 */
export function threadEntry(name: string, from: string): URL {
  try {
    // Asked for in this way, bundlers do not try to resolve the name themselves.
    return pathToFileURL(process.getBuiltinModule('node:module').createRequire(from).resolve(name));
  } catch (cause) {
    const reason = `its code (${name}) is not beside this module; keep @overlapped/* and koffi external when you bundle`;
    throw new IocpError('start a thread', reason, 'ENOTSUP', 'Worker', 0, { cause });
  }
}

/**
 * Starts a thread. It inherits the flags of this process, and Node refuses to run a file with --input-type, which a program
 * on the command line has; so there the thread's own program is a line of text, which imports the file.
 */
export function startThread(entry: URL, options: WorkerOptions): Worker {
  const flags = [...process.execArgv, process.env.NODE_OPTIONS ?? ''];
  if (!flags.some((flag) => flag.includes('--input-type'))) return new Worker(entry, options);
  return new Worker(`import(${JSON.stringify(entry.href)})`, { ...options, eval: true });
}
