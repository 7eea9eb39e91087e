// How users name a module: by a URL, the text of one, or an absolute path. A relative path would be taken from this package.

import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { IocpError } from '../contract/errors.js';

/**
 * The text of the module's URL. Throws an IocpError (EINVAL) for a value that names no module; `action` is the action that fails then.
 */
export function moduleUrl(module: unknown, action: string): string {
  // Also of another realm, such as a test runner's.
  if (module instanceof URL || Object.prototype.toString.call(module) === '[object URL]') return (module as URL).href;
  if (typeof module === 'string') {
    // First, as "C:\jobs.js" looks like a URL.
    if (isAbsolute(module)) return pathToFileURL(module).href;
    if (URL.canParse(module)) return module;
  }
  const what = typeof module === 'string' ? module : typeof module;
  throw new IocpError(action, `module must be a URL or an absolute path, not ${what}`, 'EINVAL', 'import');
}
