// IocpError: an operating error as a value, with the portable code whatever kernel it came from.

const MARK = Symbol.for('overlapped.IocpError');

/**
 * An operating error. `code` is portable (`ECONNRESET`, also where Windows says 10054), `syscall` names the call
 * that failed, `errno` is the OS's own number (0 where there is none).
 */
export class IocpError extends Error {
  override readonly name = 'IocpError';
  readonly code: string;
  readonly syscall: string;
  readonly errno: number;
  readonly [MARK] = true;

  /** @param action what could not be done: the message reads "Cannot ACTION: REASON (CODE, SYSCALL)". */
  constructor(action: string, reason: string, code: string, syscall: string, errno = 0, options?: ErrorOptions) {
    super(`Cannot ${action}: ${reason} (${code}, ${syscall})`, options);
    this.code = code;
    this.syscall = syscall;
    this.errno = errno;
  }
}

/** Also true for an IocpError of another copy of this package, where `instanceof` says no. */
export function isIocpError(value: unknown): value is IocpError {
  return typeof value === 'object' && value !== null && (value as { [MARK]?: boolean })[MARK] === true;
}

/** A file has fewer bytes than were to be sent of it. */
export function endsEarly(): IocpError {
  return new IocpError('send a file', 'it ends early', 'ENODATA', 'read');
}

/** How a backend turns its OS's error number into an IocpError. */
export interface ErrorTable {
  error(action: string, syscall: string, errno: number): IocpError;
}
