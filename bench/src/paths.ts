// Where the files of this package lie. A module cannot count from its own place: the build puts it into another folder.

import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);

/** The path of a file of this package, which must exist. `file` counts from the package's folder: "dist/jobs/work.js". */
export function pathOf(file: string): string {
  return resolve(`#bench/${file}`);
}
