// What the sessions of a thread have queued when the thread exits: the kernel is given it then, as it would have been at the
// end of the batch, which does not come.

/** What is to be sent before its thread exits. */
interface Leaving {
  sendLastWords(): void;
}

const leaving = new Set<Leaving>();

/** Has a core send what it has queued when its thread exits, until leaveQuietly(). */
export function sendAtExit(core: Leaving): void {
  if (leaving.size === 0) process.on('exit', sendAll);
  leaving.add(core);
}

/** Undoes sendAtExit(). Harmless when it was not called. */
export function leaveQuietly(core: Leaving): void {
  if (leaving.delete(core) && leaving.size === 0) process.off('exit', sendAll);
}

function sendAll(): void {
  for (const core of leaving) core.sendLastWords();
}
