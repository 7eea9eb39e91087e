// Requests of a client, a line at a time. The threads of the shared port load this module: each has a ledger of its own.

import { getEnvironmentData } from 'node:worker_threads';
import { SharedSession, text, u32 } from '@overlapped/session';
import { FILE, Ledger } from './ledger.js';

/** Limit of a line, in bytes. */
const LONGEST = 200;
const NAME = /^\w{1,40}$/;
const AMOUNT = /^[1-9]\d{0,8}$/;

const ledger = new Ledger(getEnvironmentData(FILE) as string);

export default class LedgerSession extends SharedSession<typeof LedgerSession.state> {
  /** The beginning of a line whose end has not come, and how many lines there were. */
  static override readonly state = { rest: text(LONGEST), lines: u32 };

  override onReceive(data: Buffer): void {
    const lines = (this.state.rest + data.toString('latin1')).split('\n');
    const rest = lines.pop()!;
    for (const line of lines) this.send(`${this.#answer(line.trim())}\n`);
    if (Buffer.byteLength(rest) > LONGEST) this.end('ERROR the line is too long\n');
    else this.state.rest = rest;
  }

  #answer(line: string): string {
    this.state.lines += 1;
    const [verb, ...args] = line.split(' ');
    try {
      if (verb === 'PING' && args.length === 0) return 'PONG';
      if (verb === 'LINES' && args.length === 0) return String(this.state.lines);
      if (verb === 'BALANCE' && args.length === 1) return String(ledger.balance(nameIn(args[0])));
      if (verb === 'PAY' && args.length === 3) {
        ledger.pay(nameIn(args[0]), nameIn(args[1]), amountIn(args[2]));
        return 'OK';
      }
      return 'ERROR say PING, LINES, BALANCE name, or PAY from to amount';
    } catch (error) {
      return `ERROR ${(error as Error).message}`;
    }
  }
}

function nameIn(word: string | undefined): string {
  if (word !== undefined && NAME.test(word)) return word;
  throw new Error('a name has 1 to 40 letters, digits or underscores');
}

function amountIn(word: string | undefined): number {
  if (word !== undefined && AMOUNT.test(word)) return Number(word);
  throw new Error('an amount is a whole number from 1 to 999999999');
}
