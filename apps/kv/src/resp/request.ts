// One request: its arguments, as places in the bytes that they came in. The parser fills the same object again and again.

import { parseInteger } from './integer.js';

const NOTHING = Buffer.alloc(0);
/** Places that an idle connection keeps. */
const KEPT = 1024;

export class Request {
  /** The memory of the arguments: borrowed until the parser is asked for the next request. */
  bytes: Buffer = NOTHING;
  /** How many arguments there are; the first one is the command. */
  count = 0;
  /** Argument i is at starts[i], and ends before ends[i]. */
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  /** An argument as a string with a character for each byte. Two are equal when their bytes are. */
  text(i: number): string {
    return this.bytes.toString('latin1', this.starts[i], this.ends[i]);
  }

  /** Whether an argument is a word, given in upper case, in whatever case it came. */
  is(i: number, word: string): boolean {
    const start = this.starts[i]!;
    return this.ends[i]! - start === word.length && this.text(i).toUpperCase() === word;
  }

  /** An argument as an integer of 64 bits, or null when it is none. A bigint only where a number would lose digits. */
  integer(i: number): number | bigint | null {
    return parseInteger(this.bytes, this.starts[i]!, this.ends[i]!);
  }

  /** Lets go of the bytes. */
  clear(): void {
    this.bytes = NOTHING;
    this.count = 0;
    if (this.starts.length <= KEPT) return;
    this.starts.length = 0;
    this.ends.length = 0;
  }
}
