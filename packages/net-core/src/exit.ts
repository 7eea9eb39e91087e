// The bytes that sessions have queued when their thread exits: the kernel gets them then, as it would have at the
// end of the batch, which does not come.

/** A core whose queued bytes are sent before its thread exits. */
interface Leaving {
  sendLastWords(): void;
}

const leaving = new Set<Leaving>();

/** Has a core send its queued bytes when its thread exits, until leaveQuietly(). */
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
