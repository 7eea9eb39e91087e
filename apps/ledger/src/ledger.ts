// The ledger itself, in SQLite. Every call blocks its thread: for the disk, and while another connection writes.

import Database from 'libsql';

/** The name of the environment data that holds the path of the database. */
export const FILE = 'ledger:file';

/** Milliseconds that a call waits for another connection's transaction. */
const PATIENCE = 10_000;

export class Ledger {
  readonly #db: Database.Database;
  readonly #balance: Database.Statement<[string]>;
  readonly #add: Database.Statement<[string, number]>;
  readonly #pay: Database.Transaction<(from: string, to: string, amount: number) => void>;

  /** Opens the database, and makes its table if there is none. Throws an error of SQLite. */
  constructor(file: string) {
    this.#db = new Database(file, { timeout: PATIENCE });
    this.#db.pragma('journal_mode = WAL');
    this.#db.exec('CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT');
    this.#balance = this.#db.prepare('SELECT balance FROM accounts WHERE name = ?');
    this.#add = this.#db.prepare(
      'INSERT INTO accounts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET balance = balance + excluded.balance',
    );
    this.#pay = this.#db.transaction((from, to, amount) => {
      this.#add.run(from, -amount);
      this.#add.run(to, amount);
    });
  }

  /** 0 for an account that is not there. */
  balance(name: string): number {
    const row = this.#balance.get(name) as { balance: number } | undefined;
    return row?.balance ?? 0;
  }

  /** Moves an amount, all or nothing. Throws an error of SQLite (SQLITE_BUSY) when others write for too long. */
  pay(from: string, to: string, amount: number): void {
    // An IMMEDIATE transaction waits for the lock before it reads.
    this.#pay.immediate(from, to, amount);
  }

  close(): void {
    this.#db.close();
  }
}
