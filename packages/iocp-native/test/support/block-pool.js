// Has threads of Node's pool wait, on Windows, for as long as a test likes.

/** Gives the function that lets them go. `win32` are the raw functions of this package. */
export function blockPool(win32, count) {
  const gate = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, 0, 0, count);
  const memory = win32.VirtualAlloc(0, 64 * count, win32.MEM_RESERVE | win32.MEM_COMMIT, win32.PAGE_READWRITE);
  let left = count;
  for (let i = 0; i < count; i++) {
    const at = memory + i * 64;
    win32.GetQueuedCompletionStatusEx.async(gate, at, 1, at + 32, win32.INFINITE, 0, () => {
      if (--left > 0) return;
      win32.CloseHandle(gate);
      win32.VirtualFree(memory, 0, win32.MEM_RELEASE);
    });
  }
  return () => {
    for (let i = 0; i < count; i++) win32.PostQueuedCompletionStatus(gate, 0, 1, 1);
  };
}
