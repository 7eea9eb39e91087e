// The file of a local listener: found again after a chdir(), and told from another file with its name.

import { lstatSync, renameSync, unlinkSync } from 'node:fs';
import { resolve } from 'node:path';

export class SocketFile {
  /** Absolute. */
  readonly path: string;
  readonly #identity: string;

  private constructor(path: string, identity: string) {
    this.path = path;
    this.#identity = identity;
  }

  /** The file that a listener has just bound; null for an abstract name, or a pipe. */
  static of(path: string): SocketFile | null {
    if (path.startsWith('\0') || process.platform === 'win32') return null;
    const absolute = resolve(path);
    const identity = identityOf(absolute);
    return identity === null ? null : new SocketFile(absolute, identity);
  }

  /** Removes it, if it is still there and may be removed; as the close of its listener, this does not fail. */
  remove(): void {
    if (identityOf(this.path) !== this.#identity) return;
    try {
      unlinkSync(this.path);
    } catch {}
  }

  /**
   * Calls the function that removes the file with the name `path`, and makes sure that only the listener's own file goes. Another file
   * of that name has another name meanwhile.
   */
  removeBy(path: string, removal: () => void): void {
    const named = resolve(path);
    const found = identityOf(named);
    const away = `${named}.${process.pid}`;
    const moved = found !== null && found !== this.#identity && rename(named, away);
    removal();
    if (moved) rename(away, named);
    this.remove();
  }
}

/** Device and inode of a file, or null. */
function identityOf(path: string): string | null {
  try {
    const { dev, ino } = lstatSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

/** False where the folder does not let us. */
function rename(path: string, to: string): boolean {
  try {
    renameSync(path, to);
    return true;
  } catch {
    return false;
  }
}
