// A thread that loads native code without an end, under a guard.

import { parentPort, workerData } from 'node:worker_threads';
import { guarded, keepGuard, koffi, viewOf } from '@overlapped/iocp-native/internal';

keepGuard(workerData.memory);
parentPort.postMessage('started');
const [file, prototype] =
  process.platform === 'win32' ? ['kernel32.dll', 'uint32_t GetCurrentThreadId()'] : [null, 'int getpid()'];
for (;;) {
  guarded(() => koffi().load(file).func(prototype));
  if (workerData.address !== undefined) viewOf(workerData.address, 4096);
}
