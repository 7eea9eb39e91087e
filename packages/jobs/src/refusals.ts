// The reasons for which run() of a job pool rejects: its arguments, and its errors.

import { IocpError } from '@overlapped/iocp-native';

/** Why run() cannot be called like this; undefined when it can. */
export function wrongInput(name: unknown, args: unknown, signal: unknown, transfer: unknown): string | undefined {
  if (typeof name !== 'string') return 'its name must be a string';
  if (!Array.isArray(args)) return 'its arguments must be an array';
  if (signal !== undefined && !(signal instanceof AbortSignal)) return 'its signal must be an AbortSignal';
  if (transfer !== undefined && !Array.isArray(transfer)) return 'what it transfers must be an array';
  return undefined;
}

/** The error of a job that could not be run, or whose result is not to be had. */
export function refused(name: string, code: string, reason: string, cause?: unknown): IocpError {
  return new IocpError(`run the job "${name}"`, reason, code, 'JobPool.run', 0, cause === undefined ? {} : { cause });
}
