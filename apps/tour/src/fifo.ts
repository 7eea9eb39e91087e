// FIFO: packets leave a completion port in the order in which they were queued.
import { createSharedPort, openSharedPort } from '@overlapped/jobs';

// CreateIoCompletionPort. On Windows it is the kernel's port, elsewhere it lies in shared memory.
const port = openSharedPort(createSharedPort({ concurrency: 1 }));

for (const bytes of [10, 20, 30, 40]) {
  port.post(7, bytes); // PostQueuedCompletionStatus: a completion key, and a number of bytes
  console.log(`queued: key 7, bytes ${bytes}`);
}

// GetQueuedCompletionStatus. A timeout of 0 does not wait: null says that the queue is empty.
for (let packet = port.wait(0); packet !== null; packet = port.wait(0)) {
  console.log(`taken:  key ${packet.key}, bytes ${packet.bytes}`);
}
console.log('The oldest packet came first.');
port.close();
