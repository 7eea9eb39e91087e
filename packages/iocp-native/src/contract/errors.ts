// IocpError: an operating error as a value, with a code that is the same on every kernel.

const MARK = Symbol.for('overlapped.IocpError');

/** An operating error. Its message reads "Cannot ACTION: REASON (CODE, SYSCALL)". */
export class IocpError extends Error {
  /** The name of the class: `IocpError`. */
  override readonly name = 'IocpError';
  /** Portable: `ECONNRESET`, also where Windows says 10054. */
  readonly code: string;
  /** The call that failed. */
  readonly syscall: string;
  /** The OS's own number; 0 where there is none. */
  readonly errno: number;
  /** @internal */
  readonly [MARK] = true;

  /** @param action the action that failed. */
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

/**
 * The error of a packet. It has no stack: that would show the pump, not the start of the operation, and capturing it takes
 * ten times as long as the rest. Peers that reset and sessions that are closed make many of these.
 */
export function packetError(...how: ConstructorParameters<typeof IocpError>): IocpError {
  const { stackTraceLimit } = Error;
  // Not an assignment: that would throw where the intrinsics are frozen, in which case there is a stack.
  Reflect.set(Error, 'stackTraceLimit', 0);
  const error = new IocpError(...how);
  Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  return error;
}

/** A file has fewer bytes than were to be sent of it. */
export function endsEarly(): IocpError {
  return packetError('send a file', 'it ends early', 'ENODATA', 'read');
}
